-- These runs (a JSON array of run ids).
SELECT
  run_id, runbook, title, target, status, outcome, error IS NOT NULL AS broke, started, seconds, operator,
  "trigger", acted, sentence, next, parameters, source_sha256
FROM runs
WHERE run_id IN (SELECT value FROM json_each(:run_ids))
ORDER BY run_id DESC
