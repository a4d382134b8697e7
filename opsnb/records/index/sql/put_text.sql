INSERT INTO texts (rowid, about, done, found, printed)
SELECT
  id,
  run_id || char(10) || title || char(10) || runbook || ' on ' || target || char(10)
    || operator || ' on ' || host || ', ' || trigger || char(10) || ifnull(incident, '')
    || char(10) || parameters,
  (SELECT group_concat(title || ' (' || name || '): ' || sentence || char(10) || command, char(10))
   FROM actions WHERE run = runs.id),
  details,
  :printed
FROM runs WHERE id = :id
