-- This database's statements with a mean time over `mean_ms`, and their share of all time. `judged`:
-- it runs again and again, and is not maintenance. Reads all of pg_stat_statements (5,000 entries by
-- default) with their texts: a few milliseconds.
\set schema public
\set mean mean_exec_time
\set total total_exec_time
\set ours '%/* opsnb */%'
\set often 2
\set mean_ms 100
\set most 20
SELECT left(statement, 8192) AS statement, calls, mean_ms, total_s, share_percent, rows, judged
FROM (
    SELECT query AS statement,
        calls,
        :"mean" AS mean,
        round(:"mean"::numeric, 2)::float AS mean_ms,
        round(:"total"::numeric / 1000, 1)::float AS total_s,
        round((100 * :"total" / nullif(sum(:"total") OVER (), 0))::numeric, 1)::float
            AS share_percent,
        rows,
        queryid IS NULL AS hidden,
        calls >= :'often'
            AND query ~* '^[\s(]*(select|insert|update|delete|merge|with|values)' AS judged
    FROM :"schema".pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND query NOT LIKE :'ours'
) AS statements
WHERE mean > :'mean_ms' AND NOT hidden
ORDER BY judged DESC, mean DESC
LIMIT :'most'::int;
