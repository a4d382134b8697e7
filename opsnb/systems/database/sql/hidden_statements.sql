-- How many statements of this database have a text that this login may not see, and their calls.
-- Reads all of pg_stat_statements: a few milliseconds.
\set schema public
SELECT count(*)::int AS n, coalesce(sum(calls), 0)::bigint AS calls
FROM :"schema".pg_stat_statements
WHERE queryid IS NULL
    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
