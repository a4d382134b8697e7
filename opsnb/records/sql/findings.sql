-- What was found in the runs of runs.sql, the oldest first; of all names, or of those in a JSON
-- array. `evidence` is what each rests on, where asked for.
SELECT
  name, label, findings.status, value, unit, threshold AS limits, at, counted, run_id,
  CASE WHEN :with_rows THEN evidence END AS evidence
FROM runs JOIN findings ON findings.run = runs.id
WHERE target = :target
  AND run_id >= :since
  AND (:runbooks IS NULL OR runbook IN (SELECT value FROM json_each(:runbooks)))
  AND (:names IS NULL OR name IN (SELECT value FROM json_each(:names)))
ORDER BY run_id, position
