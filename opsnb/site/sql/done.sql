-- What was done, the newest first: every action that began, with what was measured of its effect.
SELECT
  run_id, target, runs.title, operator, "trigger", incident, actions.title AS action, actions.name, state,
  verified, coalesce(at, started) AS at, actions.sentence, undo,
  (
    SELECT json_group_array(json_array(findings.status, findings.message))
    FROM findings
    WHERE findings.run = runs.id AND findings.action IS NOT NULL AND findings.counted
  ) AS effects
FROM actions JOIN runs ON runs.id = run
WHERE begun
ORDER BY run_id DESC, position
LIMIT :most
