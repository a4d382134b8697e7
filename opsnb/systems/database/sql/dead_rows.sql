-- The tables with most dead rows, and when they were vacuumed and analyzed. Reads the statistics of
-- all tables: about 20 ms for ten thousand.
\set most 20
SELECT relid::regclass::text AS table,
    n_live_tup AS rows,
    n_dead_tup AS dead_rows,
    n_mod_since_analyze AS changed_since_analyze,
    to_char(greatest(last_vacuum, last_autovacuum), 'YYYY-MM-DD HH24:MI') AS vacuumed,
    to_char(greatest(last_analyze, last_autoanalyze), 'YYYY-MM-DD HH24:MI') AS analyzed
FROM pg_stat_user_tables
ORDER BY n_dead_tup DESC, n_mod_since_analyze DESC, 1
LIMIT :'most'::int;
