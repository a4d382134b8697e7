-- How many connections logins without special rights can have. reserved_connections came with
-- version 16. Costs nothing.
SELECT current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0) AS most;
