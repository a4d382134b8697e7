-- The names of all tables or indexes in the users' schemas, with the schema where it is needed.
\set kinds '{r,m,p}'
SELECT CASE
        WHEN pg_table_is_visible(c.oid) THEN c.relname
        ELSE n.nspname || '.' || c.relname
    END AS name
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind::text = ANY(:'kinds'::text[])
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^pg_(toast|temp)';
