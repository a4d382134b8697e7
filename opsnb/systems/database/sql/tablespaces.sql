-- The tablespaces that this login may create objects in. Costs nothing.
SELECT spcname::text AS name
FROM pg_tablespace
WHERE has_tablespace_privilege(oid, 'CREATE');
