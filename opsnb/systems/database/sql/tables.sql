-- All tables that are not PostgreSQL's own, temporary ones excepted: `r` plain, `p` partitioned,
-- `f` foreign. Reads the catalogue.
SELECT c.oid::bigint,
    n.nspname::text AS schema,
    c.relname::text AS name,
    c.relkind::text AS kind
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f')
    AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 2, 3;
