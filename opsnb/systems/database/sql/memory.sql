-- Shared memory, memory for one sort, and the number of clients' sessions. Costs nothing.
SELECT pg_size_bytes(current_setting('shared_buffers')) AS shared,
    pg_size_bytes(current_setting('work_mem')) AS each,
    (
        SELECT count(*)
        FROM pg_stat_activity
        WHERE backend_type = 'client backend'
            -- A session of which this login may not see more.
            OR backend_type IS NULL
            AND usesysid IS NOT NULL
            AND datid IS NOT NULL
            AND pid NOT IN (SELECT pid FROM pg_stat_replication WHERE pid IS NOT NULL)
    ) AS sessions;
