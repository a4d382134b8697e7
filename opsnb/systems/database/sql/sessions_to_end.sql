-- The session with this pid; or, with pid 0, the idle sessions of an application in this database.
-- Reads one row for each connection: cheap. The query text of other databases is left out, because
-- their encoding may break this one's functions.
\set pid 0
\set application psql
\set idle_s 60
\set ours opsnb
\set most 1000
SELECT pid, backend_start,
    datname AS database,
    usename AS user,
    application_name AS application,
    client_addr::text AS client,
    state,
    round(extract(epoch FROM clock_timestamp() - state_change))::int AS for_s,
    round(extract(epoch FROM clock_timestamp() - xact_start))::int AS transaction_s,
    CASE WHEN datname = current_database() THEN left(query, 8192) ELSE '' END AS query
FROM pg_stat_activity
WHERE backend_type = 'client backend'
    AND pid <> pg_backend_pid()
    AND application_name <> :'ours'
    AND (
        pid = :'pid'
        -- A driver's default name is also that of other databases' services.
        OR :'pid' = 0
        AND datname = current_database()
        AND application_name = :'application'
        AND state LIKE 'idle%'
        AND clock_timestamp() - state_change > :'idle_s' * interval '1 second'
    )
ORDER BY state_change
LIMIT :'most';
