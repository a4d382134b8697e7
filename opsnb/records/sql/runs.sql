-- The runs on a target, the oldest first; of all runbooks, or of those in a JSON array.
SELECT
  run_id, runbook, status, exit_code, started, finished, seconds, operator, trigger, incident,
  (SELECT count(*) FROM findings WHERE run = runs.id AND counted) AS findings,
  (SELECT count(*) FROM actions WHERE run = runs.id) AS actions,
  (SELECT min(at) FROM actions WHERE run = runs.id AND applied) AS changed
FROM runs
WHERE target = :target
  AND run_id >= :since
  AND (:runbooks IS NULL OR runbook IN (SELECT value FROM json_each(:runbooks)))
ORDER BY run_id
