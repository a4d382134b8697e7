-- How many relations of this database a session holds exclusively or waits for, and how many indexes
-- are among them or on them. Reads the lock table.
WITH locked AS MATERIALIZED (
    SELECT relation
    FROM pg_locks
    WHERE mode = 'AccessExclusiveLock'
        AND relation IS NOT NULL
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT (SELECT count(DISTINCT relation) FROM locked)::int AS relations,
    (
        SELECT count(*)
        FROM pg_index i
        WHERE i.indexrelid IN (SELECT relation FROM locked)
            OR i.indrelid IN (SELECT relation FROM locked)
    )::int AS indexes;
