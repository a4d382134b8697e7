-- The incidents whose last run did not end ok: that run, how many there were, and when the first
-- began; the newest first.
WITH numbered AS (
  SELECT
    *, row_number() OVER (PARTITION BY incident ORDER BY run_id DESC) AS back,
    count(*) OVER (PARTITION BY incident) AS runs,
    min(started) OVER (PARTITION BY incident) AS began
  FROM runs
  WHERE incident IS NOT NULL
)
SELECT incident, runs, began, run_id, title, target, status, outcome, sentence
FROM numbered
WHERE back = 1 AND status NOT IN ('ok', 'skipped')
ORDER BY target = :last, run_id DESC
