-- What the last runs of each runbook on these targets (a JSON array) measured, the newest first.
WITH recent AS (
  SELECT id, target, run_id, row_number() OVER (PARTITION BY target, runbook ORDER BY run_id DESC) AS back
  FROM runs
  WHERE target IN (SELECT value FROM json_each(:targets)) AND NOT is_summary
)
SELECT target, run_id, name, key, label, status, value, unit, at
FROM recent JOIN findings ON run = recent.id
WHERE back <= :runs AND counted AND action IS NULL AND status <> 'skipped'
ORDER BY run_id DESC, position
