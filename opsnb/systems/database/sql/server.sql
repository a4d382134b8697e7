-- The server and database that a connection leads to, past any pooler. Costs nothing.
SELECT current_database()::text AS name,
    host(inet_server_addr()) AS host,
    inet_server_port()::text AS port,
    pg_postmaster_start_time()::text AS started,
    extract(epoch FROM pg_postmaster_start_time())::text AS started_s;
