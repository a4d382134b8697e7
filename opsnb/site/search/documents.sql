-- What is searched of the records from the run id :first to :last.
SELECT
  run_id, title, runbook, target, status, outcome, started, operator, host, trigger, incident,
  parameters, sentence, error, acted, texts.done, texts.found, texts.printed,
  (SELECT group_concat(label || ': ' || message, char(10))
   FROM findings WHERE run = runs.id AND status = 'ok') AS fine,
  (SELECT group_concat(message, char(10)) FROM findings WHERE run = runs.id) AS messages
FROM runs LEFT JOIN texts ON texts.rowid = runs.id
WHERE run_id BETWEEN :first AND :last
ORDER BY run_id
