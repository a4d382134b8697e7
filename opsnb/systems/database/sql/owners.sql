-- Which of these roles exist and this login may give objects to: since version 16 that needs SET.
\set names '{postgres}'
SELECT rolname::text AS name
FROM pg_roles
WHERE rolname = ANY(:'names'::text[])
    AND (
        rolname IN ('pg_database_owner', current_user)
        OR pg_has_role(
            oid,
            CASE WHEN current_setting('server_version_num')::int >= 160000
                THEN 'SET' ELSE 'MEMBER' END
        )
    );
