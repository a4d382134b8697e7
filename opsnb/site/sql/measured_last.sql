-- The last measurement of each of these objects (a JSON array of target, check and key): beside
-- max(), the other columns are those of the same row.
SELECT
  max(at) AS at, findings.key, findings.status AS found,
  run_id, runbook, title, target, runs.status, outcome, error IS NOT NULL AS broke, started, seconds,
  operator, "trigger", acted, sentence, next, parameters, source_sha256
FROM json_each(:objects) AS wanted
CROSS JOIN findings ON name = wanted.value ->> 1 AND findings.key = wanted.value ->> 2
CROSS JOIN runs ON runs.id = run AND target = wanted.value ->> 0
WHERE counted AND findings.status NOT IN ('unknown', 'skipped') AND NOT is_summary
GROUP BY target, findings.key
