-- Large tables whose statistics this login may not see. Reads the catalogue of tables.
\set least_mib 10
SELECT count(*)::int AS n, min(c.oid::regclass::text) AS first
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm')
    AND c.reltuples > 0
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^pg_(toast|temp)'
    AND c.relpages * current_setting('block_size')::numeric >= :'least_mib' * 1048576
    AND NOT has_any_column_privilege(c.oid, 'SELECT');
