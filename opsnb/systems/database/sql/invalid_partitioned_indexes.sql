-- Invalid indexes of partitioned tables: one becomes valid when every partition has its index
-- attached. Reads the catalogue of indexes: a few milliseconds for ten thousand.
\set most 1000
SELECT i.indexrelid::regclass::text AS index, i.indrelid::regclass::text AS table
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'I'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY 2, 1
LIMIT :'most'::int;
