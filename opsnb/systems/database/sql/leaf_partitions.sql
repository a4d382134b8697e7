-- The partitions of a table that hold rows themselves. Locks each for a moment.
\set table 1259
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_partition_tree(:'table'::oid::regclass) t
JOIN pg_class c ON c.oid = t.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.isleaf;
