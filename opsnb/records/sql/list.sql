-- A page of the records that fit, the newest first. A NULL condition fits all; the names are globs.
SELECT
  run_id, runbook, target, status, outcome, open AS is_open, started, sentence, size
FROM runs
WHERE run_id >= :since
  AND run_id < :before
  AND (:runbook IS NULL OR runbook GLOB :runbook)
  AND (:target IS NULL OR target GLOB :target)
  AND (:status IS NULL OR status IN (SELECT value FROM json_each(:status))
       OR outcome IN (SELECT value FROM json_each(:status)))
  AND (:incident IS NULL OR incident GLOB :incident)
  AND (:operator IS NULL OR operator GLOB :operator)
  AND (:trigger IS NULL OR trigger GLOB :trigger)
  AND (:acted IS NULL OR acted = :acted)
ORDER BY run_id DESC
LIMIT :page
