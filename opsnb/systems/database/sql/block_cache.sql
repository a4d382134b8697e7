-- Blocks that this database found in shared_buffers, and those that it read. Costs nothing.
SELECT blks_hit,
    blks_read,
    to_char(stats_reset, 'YYYY-MM-DD HH24:MI') AS since,
    current_setting('shared_buffers') AS shared_buffers
FROM pg_stat_database
WHERE datname = current_database();
