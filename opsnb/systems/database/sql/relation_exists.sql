-- Whether a schema has a table, index or view of this name. Reads the catalogue by its key.
\set schema pg_catalog
\set name pg_class
SELECT EXISTS (
    SELECT
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :'schema' AND c.relname = :'name'
) AS yes;
