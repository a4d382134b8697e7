-- The runs of some runbooks (a JSON array, NULL for all) on a target, and the records that are
-- damaged: of those that cannot be read, only the run id is known.
SELECT runs.run_id, 1 AS is_readable, broken.sentence AS broken
FROM runs LEFT JOIN broken ON broken.run_id = runs.run_id
WHERE runs.run_id >= :since
  AND (:runbooks IS NULL OR runbook IN (SELECT value FROM json_each(:runbooks)))
  AND (:target IS NULL OR target = :target)
UNION ALL
SELECT run_id, 0, sentence FROM broken
WHERE run_id >= :since AND run_id NOT IN (SELECT run_id FROM runs)
ORDER BY run_id DESC
