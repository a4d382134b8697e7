-- Estimated bloat of the hundred largest tables of at least `least_mib` MiB: the pages that a table
-- has against the pages that its rows need, by the planner's statistics. Off by some 20 %. Reads
-- statistics alone: about 50 ms.
\set least_mib 10
\set most 20
WITH block AS (
    SELECT current_setting('block_size')::numeric AS size
),
largest AS MATERIALIZED (
    SELECT c.oid, c.relname, n.nspname, c.relpages, c.reltuples,
        coalesce(
            substring(array_to_string(c.reloptions, ' ') FROM 'fillfactor=([0-9]+)')::numeric,
            100
        ) / 100 AS fill
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace, block
    WHERE c.relkind IN ('r', 'm')
        AND c.reltuples > 0
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname !~ '^pg_(toast|temp)'
        AND c.relpages * block.size >= :'least_mib' * 1048576
    ORDER BY c.relpages DESC
    LIMIT 100
),
needed AS (
    -- Each row has a header of 24 bytes and an item pointer of 4, each page a header of 24.
    SELECT l.*, 28 + sum((1 - s.null_frac) * s.avg_width) AS width
    FROM largest l
    JOIN pg_stats s
        ON s.schemaname = l.nspname AND s.tablename = l.relname AND NOT s.inherited
    GROUP BY l.oid, l.relname, l.nspname, l.relpages, l.reltuples, l.fill
),
estimated AS (
    SELECT n.oid,
        n.relpages * block.size AS bytes,
        greatest(
            0,
            n.relpages - ceil(
                n.reltuples::numeric * n.width::numeric / ((block.size - 24) * n.fill)
            )
        ) * block.size AS wasted
    FROM needed n, block
)
SELECT e.oid::regclass::text AS table,
    round(bytes / 1048576, 1)::float AS mib,
    round(wasted / 1048576, 1)::float AS wasted_mib,
    round(100 * wasted / bytes, 0)::float AS wasted_percent,
    pg_stat_get_dead_tuples(e.oid) AS dead_rows
FROM estimated e
ORDER BY wasted DESC
LIMIT :'most'::int;
