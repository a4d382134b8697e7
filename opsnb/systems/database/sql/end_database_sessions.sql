-- Ends every client's session in these databases but the one that runs this.
\set databases '{}'
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname = ANY(:'databases'::text[])
    AND pid <> pg_backend_pid()
    AND usesysid IS NOT NULL;
