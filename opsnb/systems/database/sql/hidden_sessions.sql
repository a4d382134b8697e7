-- How many clients' sessions of this database this login may not see, and whether sessions report
-- what they do at all. One row for each connection: cheap.
SELECT count(*)::int AS n, current_setting('track_activities') = 'off' AS unreported
FROM pg_stat_activity
WHERE backend_type IS NULL
    AND usesysid IS NOT NULL
    AND datid IS NOT NULL
    AND pid NOT IN (SELECT pid FROM pg_stat_replication WHERE pid IS NOT NULL)
    AND datname = current_database();
