-- All databases: whether a client is connected (the server's own workers have no login), and whether
-- each is a scratch database of opsnb that this login may drop. Costs nothing.
\set mark 'opsnb: scratch database of '
SELECT datname::text AS name,
    EXISTS (
        SELECT
        FROM pg_stat_activity a
        WHERE a.datname = d.datname AND a.usesysid IS NOT NULL
    ) AS is_used,
    pg_has_role(datdba, 'USAGE')
        AND starts_with(coalesce(shobj_description(oid, 'pg_database'), ''), :'mark') AS is_ours
FROM pg_database d
ORDER BY 1;
