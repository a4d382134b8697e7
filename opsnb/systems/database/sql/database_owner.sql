-- Who owns this database, whether this login may act as the owner, a prepared transaction that keeps
-- it from being renamed, and a database to rename it from. Costs nothing.
SELECT pg_get_userbyid(datdba)::text AS owner,
    pg_has_role(datdba, 'USAGE') AS owns,
    (SELECT min(gid) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared,
    (
        SELECT min(datname::text)
        FROM pg_database
        WHERE datallowconn
            AND datname IN ('postgres', 'template1')
            AND has_database_privilege(oid, 'CONNECT')
    ) AS maintenance
FROM pg_database
WHERE datname = current_database();
