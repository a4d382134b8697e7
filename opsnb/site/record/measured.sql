-- The findings of a run that count.
SELECT key, label, name, status, value, unit, message
FROM findings
WHERE run = (SELECT id FROM runs WHERE run_id = :run_id) AND counted AND status <> 'skipped'
ORDER BY position
