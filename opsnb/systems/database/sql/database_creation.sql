-- Whether this login may create databases. Costs nothing.
SELECT current_user AS user, (rolcreatedb OR rolsuper) AS creates
FROM pg_roles
WHERE rolname = current_user;
