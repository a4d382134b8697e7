-- Clients' queries of this database that run longer than `minutes`, the longest first. Autovacuum,
-- replication and parallel workers are no client backends. One row for each connection: cheap.
\set minutes 5
\set ours opsnb
\set most 100
SELECT pid, backend_start, query_start,
    usename AS user,
    application_name AS application,
    wait_event_type AS waits_for,
    round(extract(epoch FROM clock_timestamp() - query_start))::int AS seconds,
    left(query, 8192) AS query
FROM pg_stat_activity
WHERE state = 'active'
    AND backend_type = 'client backend'
    AND datname = current_database()
    AND pid <> pg_backend_pid()
    AND application_name <> :'ours'
    AND clock_timestamp() - query_start > :'minutes' * interval '1 minute'
ORDER BY query_start
LIMIT :'most'::int;
