-- Clients' connections by application and state. One row for each connection: cheap.
-- `in_a_hidden_state`: sessions of which this login may not see more (it lacks pg_read_all_stats).
WITH sessions AS (
    SELECT *,
        backend_type IS NULL
            AND usesysid IS NOT NULL
            AND datid IS NOT NULL
            AND pid NOT IN (SELECT pid FROM pg_stat_replication WHERE pid IS NOT NULL) AS hidden
    FROM pg_stat_activity
)
SELECT coalesce(nullif(application_name, ''), '(none)') AS application,
    count(*)::int AS connections,
    (count(*) FILTER (WHERE state = 'active'))::int AS active,
    (count(*) FILTER (WHERE state = 'idle'))::int AS idle,
    (count(*) FILTER (WHERE state LIKE 'idle in%'))::int AS idle_in_transaction,
    (count(*) FILTER (WHERE hidden))::int AS in_a_hidden_state,
    round(extract(epoch FROM max(now() - backend_start)))::int AS oldest_s,
    round(extract(epoch FROM max(now() - xact_start)))::int AS oldest_transaction_s
FROM sessions
WHERE backend_type = 'client backend' OR hidden
GROUP BY 1
ORDER BY 2 DESC, 1;
