-- The runs since a run id that changed something, verified it and succeeded; the newest first.
SELECT
  run_id, runbook, title, target, status, outcome, error IS NOT NULL AS broke, started, seconds, operator,
  "trigger", acted, sentence, next, parameters, source_sha256
FROM runs
WHERE run_id >= :since AND acted AND exit_code = 0
  AND EXISTS (SELECT * FROM actions WHERE run = runs.id AND verified)
ORDER BY run_id DESC
