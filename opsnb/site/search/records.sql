-- Which records the bundles are made from. `version` changes with the record.
SELECT run_id, target, substr(started, 1, 7) AS month,
  size || '-' || mtime_ns || '-' || inode || '-' || finished || '-' || open || '-' || searchable
    || coalesce(sealed_sha256, '') AS version
FROM runs
ORDER BY run_id
