-- Every number that was measured on a target and counts, the oldest first.
SELECT key, name, label, value, unit, findings.status, at, run_id, threshold
FROM runs JOIN findings ON run = runs.id
WHERE target = :target AND NOT is_summary AND counted AND action IS NULL
  AND value IS NOT NULL AND findings.status <> 'skipped'
ORDER BY at
