-- Whether this query of this session still runs: pids are reused, and a session goes on to its next
-- query. Costs nothing.
\set pid 0
\set backend_start '2026-01-01'
\set query_start '2026-01-01'
SELECT count(*) > 0 AS yes
FROM pg_stat_activity
WHERE pid = :'pid'
    AND backend_start = :'backend_start'
    AND query_start = :'query_start'
    AND state = 'active';
