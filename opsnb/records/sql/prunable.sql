-- A page of the records, the newest first, with what rules about them ask for.
SELECT run_id, runbook, target, status, outcome, trigger, started, incident, open
FROM runs
WHERE run_id < :before
ORDER BY run_id DESC
LIMIT :page
