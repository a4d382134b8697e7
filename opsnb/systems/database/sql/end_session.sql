-- Ends one session: the one that was planned, because pids are reused.
\set pid 0
\set backend_start '2026-01-01'
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE pid = :'pid' AND backend_start = :'backend_start';
