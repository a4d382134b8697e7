-- Whether this login can write here, and which setting prevents it. Costs nothing.
SELECT pg_is_in_recovery() AS replica,
    current_user AS login,
    current_database() AS database,
    setting = 'on' AS read_only,
    source
FROM pg_settings
WHERE name = 'default_transaction_read_only';
