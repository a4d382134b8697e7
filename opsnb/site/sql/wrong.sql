-- The findings of these runs (a JSON array of run ids) that are not ok, and count.
SELECT runs.run_id, findings.key, name, label, findings.status, message, at, remedies
FROM json_each(:run_ids) AS wanted
CROSS JOIN runs ON runs.run_id = wanted.value
CROSS JOIN findings ON findings.run = runs.id
WHERE counted AND findings.status NOT IN ('ok', 'skipped')
ORDER BY runs.run_id, position
