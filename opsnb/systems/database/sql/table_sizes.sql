-- The largest tables with their indexes; `of` and `all_bytes` are of all tables. Only the `measured`
-- that the planner believes to be the largest are measured, because that opens every file. Tables
-- that a session holds exclusively are left out, because measuring would wait. About 50 ms for ten
-- thousand tables.
\set most 20
\set measured 200
WITH locked AS MATERIALIZED (
    SELECT relation
    FROM pg_locks
    WHERE mode = 'AccessExclusiveLock'
        AND relation IS NOT NULL
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
),
indexes AS MATERIALIZED (
    SELECT i.indrelid, sum(c.relpages::bigint) AS pages
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    GROUP BY 1
),
counted AS MATERIALIZED (
    SELECT c.oid,
        c.reltuples,
        -- relpages lacks the rows that no VACUUM or ANALYZE has seen yet.
        greatest(c.relpages::bigint, pg_stat_get_live_tuples(c.oid) / 100)
            + coalesce(toast.relpages, 0) + coalesce(i.pages, 0) AS pages
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
    LEFT JOIN indexes i ON i.indrelid = c.oid
    WHERE c.relkind IN ('r', 'm')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname !~ '^pg_(toast|temp)'
        AND c.oid NOT IN (SELECT relation FROM locked)
),
largest AS MATERIALIZED (
    SELECT oid,
        reltuples,
        (count(*) OVER ())::int AS of,
        (sum(pages) OVER ())::bigint * current_setting('block_size')::int AS all_bytes
    FROM counted
    ORDER BY pages DESC
    LIMIT :'measured'::int
),
sizes AS MATERIALIZED (
    SELECT *, pg_table_size(oid) AS bytes, pg_indexes_size(oid) AS index_bytes
    FROM largest
)
SELECT oid::regclass::text AS table,
    round(bytes / 1048576.0, 2)::float AS table_mib,
    round(index_bytes / 1048576.0, 2)::float AS index_mib,
    CASE WHEN reltuples >= 0 THEN reltuples::bigint END AS rows_estimated,
    of,
    all_bytes
FROM sizes
ORDER BY bytes + index_bytes DESC, 1
LIMIT :'most'::int;
