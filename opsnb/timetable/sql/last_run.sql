-- The last run of a runbook with a trigger, or the summary of several, begun in a span.
SELECT run_id, status, exit_code, started, sentence
FROM runs
WHERE runbook = :runbook
  AND trigger = :trigger
  AND (fleet IS NULL OR is_summary)
  AND run_id >= :since
  AND started <= :now
ORDER BY run_id DESC
LIMIT 1
