-- Runs in a span of run ids. Where there are more than :most, those that acted or were not ok come
-- before the others, and of both the newest.
SELECT * FROM (
  SELECT
    run_id, runbook, title, target, status, outcome, error IS NOT NULL AS broke, started, seconds,
    operator, "trigger", acted, sentence, next, parameters, source_sha256
  FROM runs
  WHERE run_id >= :since AND run_id < :until
  ORDER BY :newest OR acted OR status <> 'ok' DESC, run_id DESC
  LIMIT :most
)
ORDER BY run_id DESC
