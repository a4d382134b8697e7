-- How many slow statements of this database have a text that this login may not see. Reads all of
-- pg_stat_statements: a few milliseconds.
\set schema public
\set mean mean_exec_time
\set often 2
\set mean_ms 100
SELECT count(*)::int AS n
FROM :"schema".pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND queryid IS NULL
    AND calls >= :'often'
    AND :"mean" > :'mean_ms';
