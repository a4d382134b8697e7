-- The settings that single roles have in this database. Costs nothing.
SELECT pg_get_userbyid(setrole) AS role, unnest(setconfig) AS setting
FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = setdatabase
WHERE datname = current_database() AND setrole <> 0;
