-- Version, login, uptime and role of the server. Costs nothing.
SELECT current_database() AS database,
    current_user AS user,
    current_setting('server_version') AS version,
    date_trunc('second', now() - pg_postmaster_start_time())::text AS uptime,
    pg_is_in_recovery() AS replica,
    pg_backend_pid() AS server_process;
