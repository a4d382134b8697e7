-- A table that a plan reads from end to end: its estimated rows, its columns, and the first column
-- of each valid index. Reads the catalogue for one table: cheap.
\set schema pg_catalog
\set table pg_class
SELECT c.reltuples::bigint AS rows,
    ARRAY(
        SELECT attname::text
        FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    ) AS columns,
    ARRAY(
        SELECT a.attname::text
        FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisvalid
    ) AS leading
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :'schema' AND c.relname = :'table';
