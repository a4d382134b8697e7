-- The privileges on this database; without a grantee they are PUBLIC's. Costs nothing.
SELECT CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END AS grantee,
    privilege_type AS privilege,
    is_grantable AS grantable
FROM pg_database d, aclexplode(datacl)
WHERE datname = current_database();
