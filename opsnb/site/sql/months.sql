-- The months in which runs began, the newest first; `version` changes with the records.
SELECT
  substr(run_id, 1, 6) AS month,
  count(*) AS runs,
  sum(status = 'crit') AS crit,
  sum(acted) AS acted,
  count(*) || '-' || max(read_ns) || '-' || sum(size) AS version
FROM runs
GROUP BY 1
ORDER BY 1 DESC
