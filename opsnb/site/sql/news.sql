-- The newest runs that were critical or changed something.
SELECT
  run_id, runbook, title, target, status, outcome, error IS NOT NULL AS broke, started, seconds, operator,
  "trigger", acted, sentence, next, parameters, source_sha256
FROM runs
WHERE status = 'crit' OR acted
ORDER BY run_id DESC
LIMIT :most
