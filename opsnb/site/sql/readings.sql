-- Every number that was measured on a target and counts, the oldest first; its time in seconds since 1970.
SELECT key, value, 86400 * (julianday(at) - 2440587.5) AS at
FROM runs JOIN findings ON run = runs.id
WHERE target = :target AND NOT is_summary AND counted AND action IS NULL
  AND value IS NOT NULL AND findings.status <> 'skipped'
ORDER BY findings.at
