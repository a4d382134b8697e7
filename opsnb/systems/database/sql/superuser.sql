-- Whether this login is a superuser, or a member of a managed service's own kind of superuser,
-- which may create more extensions than PostgreSQL's rules say. Costs nothing.
SELECT rolsuper AS is_super,
    EXISTS (
        SELECT
        FROM pg_roles m
        WHERE m.rolname IN (
                'rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'alloydbsuperuser'
            )
            AND pg_has_role(m.oid, 'MEMBER')
    ) AS is_managed
FROM pg_roles
WHERE rolname = current_user;
