-- The key columns and expressions of an index, and its WHERE. Reads the catalogue for one index.
-- Only an expression needs pg_get_indexdef, which waits while a session has the table locked.
\set index 2662
SELECT array_agg(
        coalesce(
            quote_ident(a.attname),
            CASE WHEN k.number = 0 THEN pg_get_indexdef(i.indexrelid, k.place::int, true) END
        )
        ORDER BY k.place
    ) AS keys,
    min(pg_get_expr(i.indpred, i.indrelid, true)) AS part
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)
LEFT JOIN pg_attribute a
    ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number <> 0
WHERE i.indexrelid = :'index' AND k.place <= i.indnkeyatts;
