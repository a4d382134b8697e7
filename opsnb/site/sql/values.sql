-- What there is to filter runs in a span of run ids by, as JSON arrays.
SELECT
  json_group_array(DISTINCT status) AS status,
  json_group_array(DISTINCT target) AS target,
  json_group_array(DISTINCT runbook) AS runbook,
  json_group_array(DISTINCT operator) AS operator,
  json_group_array(DISTINCT iif(acted, 'acted', 'no')) AS acted
FROM runs
WHERE run_id >= :since AND run_id < :until
