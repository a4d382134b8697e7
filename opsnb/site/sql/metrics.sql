-- The newest reading of each metric, and a version of its history that changes with the records:
-- beside max(), the other columns are those of the same row.
SELECT
  target, name, key, label, findings.status, value, unit, run_id, threshold,
  max(at) AS at,
  count(*) || '-' || max(at) || '-' || total(value) AS version
FROM runs JOIN findings ON run = runs.id
WHERE NOT is_summary AND counted AND action IS NULL
  AND value IS NOT NULL AND findings.status <> 'skipped'
GROUP BY target, name, key
ORDER BY target, name, key
