-- A relation and, when it is partitioned, all of its partitions. Reads the catalogue alone:
-- pg_partition_tree waits for a session that holds one of them exclusively.
\set relation 1259
WITH RECURSIVE tree(oid) AS (
    SELECT oid FROM pg_class WHERE oid = :'relation'
    UNION ALL
    SELECT h.inhrelid
    FROM tree
    JOIN pg_class c ON c.oid = tree.oid AND c.relkind IN ('p', 'I')
    JOIN pg_inherits h ON h.inhparent = c.oid
)
SELECT c.oid::bigint AS oid,
    n.nspname::text AS schema,
    c.relname::text AS name,
    c.relkind NOT IN ('p', 'I') AS is_leaf
FROM tree
JOIN pg_class c ON c.oid = tree.oid
JOIN pg_namespace n ON n.oid = c.relnamespace;
