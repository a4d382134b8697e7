-- The newest run of each runbook on each target: beside max(), the other columns are those of the
-- same row. A target that a run on several could not start on has no record; the summary speaks.
SELECT
  max(run_id) AS run_id, runbook, title, target, status, outcome, error IS NOT NULL AS broke, started,
  seconds, operator, "trigger", acted, sentence, next, parameters, source_sha256
FROM runs
WHERE NOT is_summary
GROUP BY target, runbook
UNION ALL
SELECT
  max(run_id), runbook, title, members.target, members.status, members.status, 1, started,
  seconds, operator, "trigger", 0, members.sentence, '', parameters, source_sha256
FROM members JOIN runs ON runs.id = members.run
WHERE member_run_id IS NULL
GROUP BY members.target, runbook
ORDER BY run_id DESC
