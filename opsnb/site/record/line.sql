-- What one line about each of these runs shows.
SELECT run_id, runbook, title, target, status, outcome, started, sentence, source_sha256, parameters
FROM runs
WHERE run_id IN (SELECT value FROM json_each(:run_ids))
ORDER BY run_id DESC
