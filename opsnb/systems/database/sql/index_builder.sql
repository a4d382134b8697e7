-- The session that builds an index on a table. Reads the lock table.
\set table 1259
SELECT :'table'::oid::regclass::text AS name,
    (
        SELECT min(pid)
        FROM pg_locks
        JOIN pg_stat_progress_create_index USING (pid)
        WHERE relation = :'table'::oid
    ) AS pid;
