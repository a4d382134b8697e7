-- Whether pg_stat_statements is loaded and counts. Its settings exist only when it is loaded, and
-- every login sees them; without pg_read_all_settings `libraries` is NULL. compute_query_id came with
-- version 14. Costs nothing.
SELECT current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded,
    (SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries') AS libraries,
    current_database()::text AS name,
    current_setting('compute_query_id', true) = 'off' AS uncounted,
    current_setting('pg_stat_statements.track', true) = 'none' AS untracked;
