-- Calls and time of this database's statements since the statistics were reset. Reads all of
-- pg_stat_statements (5,000 entries by default) with their texts: a few milliseconds.
\set schema public
\set total total_exec_time
\set ours '%/* opsnb */%'
SELECT queryid,
    min(query) AS text,
    sum(calls)::bigint AS calls,
    sum(:"total")::float AS ms
FROM :"schema".pg_stat_statements
WHERE query ~* '^[\s(]*(select|insert|update|delete|merge|with)'
    AND query NOT LIKE :'ours'
    AND queryid IS NOT NULL
    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY 1;
