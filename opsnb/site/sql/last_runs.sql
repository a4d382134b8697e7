-- The last runs of each runbook, the newest first. A summary represents its members.
WITH numbered AS (
  SELECT *, row_number() OVER (PARTITION BY runbook ORDER BY run_id DESC) AS back
  FROM runs
  WHERE fleet IS NULL OR is_summary
)
SELECT
  run_id, runbook, title, target, status, outcome, error IS NOT NULL AS broke, started, seconds, operator,
  "trigger", acted, sentence, next, parameters, source_sha256
FROM numbered
WHERE back <= :most
ORDER BY run_id DESC
