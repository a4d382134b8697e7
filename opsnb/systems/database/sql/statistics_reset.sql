-- When the statistics of this database were last reset. Costs nothing.
SELECT coalesce(to_char(stats_reset, 'YYYY-MM-DD HH24:MI'), 'the beginning') AS since
FROM pg_stat_database
WHERE datname = current_database();
