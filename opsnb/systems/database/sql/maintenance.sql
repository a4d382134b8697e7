-- ANALYZE, VACUUM and CREATE INDEX in progress in this database. One row for each: cheap.
-- The phase is NULL where another role runs it and this login lacks pg_read_all_stats.
SELECT pid, command, phase, done, total, relid::regclass::text AS relation
FROM (
    SELECT pid, 'ANALYZE' AS command, phase, relid, datid,
        sample_blks_scanned AS done, sample_blks_total AS total
    FROM pg_stat_progress_analyze
    UNION ALL
    SELECT pid, 'VACUUM', phase, relid, datid, heap_blks_scanned, heap_blks_total
    FROM pg_stat_progress_vacuum
    UNION ALL
    SELECT pid, command, phase, relid, datid, blocks_done, blocks_total
    FROM pg_stat_progress_create_index
) AS commands
WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY pid
LIMIT 50;
