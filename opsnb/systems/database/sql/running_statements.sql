-- Clients' statements that run now in this database, the longest first. One row for each connection.
\set most 20
SELECT pid,
    usename AS user,
    application_name AS application,
    round(extract(epoch FROM clock_timestamp() - query_start)::numeric, 1)::float AS runs_s,
    wait_event_type AS waits_for,
    left(query, 8192) AS query
FROM pg_stat_activity
WHERE state = 'active'
    AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
    AND datname = current_database()
ORDER BY query_start
LIMIT :'most'::int;
