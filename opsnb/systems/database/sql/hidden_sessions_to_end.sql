-- How many of the sessions to end this login may not see. One row for each connection: cheap.
\set pid 0
\set application psql
SELECT count(*)::int AS n
FROM pg_stat_activity
WHERE backend_type IS NULL
    AND usesysid IS NOT NULL
    AND datid IS NOT NULL
    AND pid NOT IN (SELECT pid FROM pg_stat_replication WHERE pid IS NOT NULL)
    AND (
        pid = :'pid'
        OR :'pid' = 0
        AND application_name = :'application'
        AND datname = current_database()
    );
