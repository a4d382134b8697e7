-- The last measurement of each object on each target in a span of run ids: beside max(), the other
-- columns are those of the same row.
SELECT target, run_id, name, key, label, findings.status, value, unit, max(at) AS at
FROM runs JOIN findings ON run = runs.id
WHERE run_id >= :since AND run_id < :until AND NOT is_summary
  AND counted AND action IS NULL AND findings.status NOT IN ('unknown', 'skipped')
GROUP BY target, name, key
