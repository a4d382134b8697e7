-- The server process of this session and its age. Behind a pooler, it is not the one that the
-- client was given, or is older than the client's connection. Costs nothing.
SELECT pg_backend_pid() AS pid,
    (
        SELECT extract(epoch FROM clock_timestamp() - backend_start)::float
        FROM pg_stat_activity
        WHERE pid = pg_backend_pid()
    ) AS age_s;
