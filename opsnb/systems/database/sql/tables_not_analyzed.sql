-- Which of these tables were not analyzed (with `vacuum`: vacuumed and analyzed) since `began`:
-- themselves or one of their partitions. Reads statistics alone: cheap.
\set oids '{1259}'
\set partitioned '{}'
\set began '2026-01-01'
\set vacuum false
WITH RECURSIVE tree(oid, leaf) AS (
    SELECT p, p FROM unnest(:'partitioned'::oid[]) AS p
    UNION ALL
    SELECT t.oid, h.inhrelid FROM tree t JOIN pg_inherits h ON h.inhparent = t.leaf
),
meant AS MATERIALIZED (
    SELECT oid, oid AS leaf FROM unnest(:'oids'::oid[]) AS oid
    UNION ALL
    SELECT t.oid, t.leaf FROM tree t JOIN pg_class k ON k.oid = t.leaf WHERE k.relkind <> 'p'
)
SELECT DISTINCT meant.oid::bigint AS oid
FROM meant
JOIN pg_class c ON c.oid = meant.leaf AND c.relkind IN ('r', 'm')
WHERE coalesce(pg_stat_get_last_analyze_time(c.oid) < :'began', true)
    OR :'vacuum'::bool AND coalesce(pg_stat_get_last_vacuum_time(c.oid) < :'began', true);
