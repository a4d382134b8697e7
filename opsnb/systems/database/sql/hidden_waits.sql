-- How many sessions that this login may not see wait for a lock longer than `seconds`. Every login
-- sees in pg_locks who waits; since version 14 it has the column waitstart too. Reads the lock table.
\set seconds 1
SELECT count(DISTINCT pid)::int AS n
FROM pg_locks l
JOIN pg_stat_activity USING (pid)
WHERE NOT l.granted
    AND backend_type IS NULL
    AND usesysid IS NOT NULL
    AND datid IS NOT NULL
    AND pid NOT IN (SELECT pid FROM pg_stat_replication WHERE pid IS NOT NULL)
    AND coalesce(
        clock_timestamp() - (to_jsonb(l) ->> 'waitstart')::timestamptz
            > :'seconds' * interval '1 second',
        true
    );
