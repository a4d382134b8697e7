-- The replication slots and subscriptions of this database, which a new database of the same name
-- does not take over. Costs nothing.
SELECT ARRAY(
        SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database()
    ) AS slots,
    ARRAY(
        SELECT subname::text
        FROM pg_subscription
        WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS subscriptions,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_super;
