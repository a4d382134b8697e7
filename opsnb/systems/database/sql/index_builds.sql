-- The tables among `tables` on which an index is being built. `hidden`: another role builds an
-- index, and this is a table that it has locked. Reads the lock table, whose partitions it locks
-- for a moment.
\set tables '{1259}'
SELECT DISTINCT coalesce(toasted.oid, l.relation)::bigint AS table,
    p.relid IS NULL AS hidden
FROM pg_stat_progress_create_index p
JOIN pg_locks l
    ON l.pid = p.pid AND l.database = p.datid AND l.locktype = 'relation'
LEFT JOIN pg_class toasted ON toasted.reltoastrelid = l.relation
WHERE p.datid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')
    AND coalesce(toasted.oid, l.relation) = ANY(:'tables'::oid[]);
