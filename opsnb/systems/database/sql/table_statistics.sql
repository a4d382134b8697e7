-- What the statistics say of these tables; of a partitioned one, of all its partitions. Measures
-- only partitions, and none that a session holds exclusively, because that would wait. Finds
-- partitions without pg_partition_tree, which would wait too. `oids` are plain tables, `partitioned`
-- the others.
\set oids '{1259}'
\set partitioned '{}'
WITH RECURSIVE tree(oid, leaf) AS (
    SELECT p, p FROM unnest(:'partitioned'::oid[]) AS p
    UNION ALL
    SELECT t.oid, h.inhrelid FROM tree t JOIN pg_inherits h ON h.inhparent = t.leaf
),
meant AS MATERIALIZED (
    SELECT oid, oid AS leaf FROM unnest(:'oids'::oid[]) AS oid
    UNION ALL
    SELECT t.oid, t.leaf FROM tree t JOIN pg_class k ON k.oid = t.leaf WHERE k.relkind <> 'p'
),
locked AS MATERIALIZED (
    SELECT relation
    FROM pg_locks
    WHERE mode = 'AccessExclusiveLock'
        AND relation IS NOT NULL
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
),
states AS (
    SELECT meant.oid,
        sum(
            CASE WHEN c.reltuples > 0 THEN c.reltuples ELSE pg_stat_get_live_tuples(c.oid) END
        )::bigint AS rows,
        sum(pg_stat_get_dead_tuples(c.oid))::bigint AS dead_rows,
        sum(pg_stat_get_mod_since_analyze(c.oid))::bigint AS changed_since_analyze,
        -- relpages lacks the rows that no VACUUM or ANALYZE has seen yet.
        sum(
            greatest(
                c.relpages,
                CASE
                    WHEN c.oid <> meant.oid AND c.oid NOT IN (SELECT relation FROM locked)
                    THEN pg_relation_size(c.oid) / current_setting('block_size')::int
                END
            )
        )::bigint AS pages,
        min(
            greatest(
                pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)
            )
        ) AS analyzed,
        min(
            greatest(
                pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)
            )
        ) AS vacuumed
    FROM meant
    JOIN pg_class c ON c.oid = meant.leaf AND c.relkind IN ('r', 'm')
    GROUP BY meant.oid
)
SELECT t.oid::regclass::text AS table,
    s.rows,
    s.dead_rows,
    s.changed_since_analyze,
    s.pages * current_setting('block_size')::int / 1024 AS kib,
    to_char(s.analyzed, 'YYYY-MM-DD HH24:MI') AS analyzed,
    to_char(s.vacuumed, 'YYYY-MM-DD HH24:MI') AS vacuumed
FROM unnest(:'oids'::oid[] || :'partitioned'::oid[]) AS t(oid)
LEFT JOIN states s USING (oid)
ORDER BY s.pages NULLS FIRST, 1;
