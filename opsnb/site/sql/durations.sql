-- How long the last runs of each runbook took that ran to their end, in seconds.
WITH numbered AS (
  SELECT runbook, seconds, row_number() OVER (PARTITION BY runbook ORDER BY run_id DESC) AS back
  FROM runs
  WHERE ended AND NOT open AND NOT is_summary
)
SELECT runbook, seconds FROM numbered WHERE back <= :most
