-- Sessions that wait for a lock longer than `seconds`, and those that block them. pg_blocking_pids
-- locks the lock table for a moment, so it is asked for at most 200. The query text of other
-- databases is left out where their encoding may break this one's functions.
\set seconds 1
WITH here AS MATERIALIZED (
    SELECT encoding FROM pg_database WHERE datname = current_database()
),
waiting AS MATERIALIZED (
    SELECT pid, pg_blocking_pids(pid) AS blockers
    FROM pg_stat_activity
    WHERE wait_event_type = 'Lock'
        AND clock_timestamp() - query_start > :'seconds' * interval '1 second'
    ORDER BY query_start
    LIMIT 200
)
SELECT a.pid,
    coalesce(w.blockers, '{}') AS blockers,
    a.usename AS user,
    a.application_name AS application,
    a.state,
    round(
        extract(
            epoch
            FROM clock_timestamp() - coalesce(a.query_start, a.xact_start, a.backend_start)
        )
    )::int AS for_s,
    CASE
        WHEN d.encoding = (SELECT encoding FROM here) THEN left(a.query, 8192)
        ELSE ''
    END AS query
FROM pg_stat_activity a
LEFT JOIN waiting w USING (pid)
LEFT JOIN pg_database d ON d.oid = a.datid
WHERE w.pid IS NOT NULL OR a.pid IN (SELECT unnest(blockers) FROM waiting);
