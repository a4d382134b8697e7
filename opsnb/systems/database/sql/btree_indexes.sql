-- The btree indexes on exactly these columns of a table: the valid ones, and an invalid one of the
-- given name, which a failed attempt left. Reads the catalogue for one table: cheap.
\set table 1259
\set name idx_example
\set columns '{oid}'
SELECT i.indisvalid AS valid
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
WHERE i.indrelid = :'table'
    AND (i.indisvalid OR c.relname = :'name')
    AND i.indpred IS NULL
    AND i.indnkeyatts = cardinality(:'columns'::text[])
    AND :'columns'::text[] = ARRAY(
        SELECT a.attname::text
        FROM unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE k.place <= i.indnkeyatts
        ORDER BY k.place
    );
