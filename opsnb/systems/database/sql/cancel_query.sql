-- Cancels this query of this session, if it still runs.
\set pid 0
\set backend_start '2026-01-01'
\set query_start '2026-01-01'
SELECT pg_cancel_backend(pid)
FROM pg_stat_activity
WHERE pid = :'pid'
    AND backend_start = :'backend_start'
    AND query_start = :'query_start'
    AND state = 'active';
