-- The latest runs of each runbook. A summary stands for its members, which would fill the list.
SELECT run_id, runbook, title, target, status, outcome, started, sentence, source_sha256, parameters
FROM (
  SELECT *, row_number() OVER (PARTITION BY runbook ORDER BY run_id DESC) AS place
  FROM runs
  WHERE fleet IS NULL OR is_summary
)
WHERE place <= :shown
ORDER BY run_id DESC
