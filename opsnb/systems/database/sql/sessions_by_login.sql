-- Who is connected to this database, and whether this login may end all of those sessions. One row
-- for each connection: cheap.
SELECT a.usename AS login,
    coalesce(a.application_name, '') AS application,
    count(*) AS n,
    bool_and(
        m.rolsuper
        OR NOT r.rolsuper
        AND (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
    ) AS may_end
FROM pg_stat_activity a
JOIN pg_roles r ON r.oid = a.usesysid
JOIN pg_roles m ON m.rolname = current_user
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
GROUP BY 1, 2
ORDER BY 3 DESC
LIMIT 20;
