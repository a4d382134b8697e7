-- What stands around each record: the runs before and after it of the same runbook on the same
-- target, and the last one before it that ended well. `version` changes with the record.
SELECT
  run_id,
  runbook,
  target,
  parent,
  fleet,
  is_summary,
  size || '-' || mtime_ns || '-' || inode || '-' || finished || '-' || open || coalesce(sealed_sha256, '')
    AS version,
  lag(run_id) OVER same AS older,
  lead(run_id) OVER same AS newer,
  max(CASE WHEN status = 'ok' AND error IS NULL THEN run_id END) OVER (
    PARTITION BY runbook, target ORDER BY run_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) AS green
FROM runs
WINDOW same AS (PARTITION BY runbook, target ORDER BY run_id)
ORDER BY run_id DESC
