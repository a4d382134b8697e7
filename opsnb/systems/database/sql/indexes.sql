-- Indexes of the users' own tables. `scope` chooses which:
--   invalid   those that are invalid
--   database  all; of TOAST the invalid ones alone
--   tables    those of the tables `oids`, and the invalid ones of their TOAST
--   indexes   those whose own oids are `oids`
-- Asks the file system for the size of each: about 1 ms for 100 indexes. That would wait for a
-- session that holds one exclusively, whose size is then that of the last VACUUM or ANALYZE. An
-- index of TOAST is shown with the table that users know.
\set scope invalid
\set oids '{}'
\set most 1000
WITH locked AS MATERIALIZED (
    SELECT relation
    FROM pg_locks
    WHERE mode = 'AccessExclusiveLock'
        AND relation IS NOT NULL
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT i.indexrelid::bigint AS oid,
    n.nspname AS schema,
    c.relname AS name,
    c.oid::regclass::text AS written,
    t.oid::bigint AS table_oid,
    t.oid::regclass::text AS on_table,
    pg_relation_filenode(c.oid)::bigint AS file,
    c.relpages::bigint AS pages,
    CASE
        WHEN c.oid IN (SELECT relation FROM locked)
        THEN c.relpages::bigint * current_setting('block_size')::int
        ELSE pg_relation_size(c.oid)
    END AS bytes,
    i.indisvalid AS valid,
    i.indisexclusion AS excludes,
    i.indisunique AS is_unique,
    NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AS leftover,
    n.nspname !~ '^pg_toast' OR has_schema_privilege(n.oid, 'USAGE') AS reachable,
    pg_get_userbyid(t.relowner)::text AS owner
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class toasted ON toasted.reltoastrelid = i.indrelid
JOIN pg_class t ON t.oid = coalesce(toasted.oid, i.indrelid)
JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE CASE :'scope'
        WHEN 'tables' THEN
            t.oid = ANY(:'oids'::oid[]) AND (i.indrelid = t.oid OR NOT i.indisvalid)
        WHEN 'indexes' THEN
            i.indexrelid = ANY(:'oids'::oid[])
        ELSE
            tn.nspname <> 'information_schema'
            AND tn.nspname !~ '^pg_(catalog|toast|temp)'
            AND (NOT i.indisvalid OR :'scope' = 'database' AND n.nspname <> 'pg_toast')
    END
ORDER BY c.relpages, 2, 3
LIMIT :'most'::int;
