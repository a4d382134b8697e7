-- The columns of a table. Reads the catalogue by its key: cheap.
\set table 1259
SELECT attname::text AS name
FROM pg_attribute
WHERE attrelid = :'table' AND attnum > 0 AND NOT attisdropped;
