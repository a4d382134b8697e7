-- The records whose text matches `:words` (of FTS5) and that fit the conditions of list.sql. First
-- those that did what is searched for, then those that were critical about it, then the others; of
-- equal ones, the newest.
WITH best AS (
  SELECT
    runs.id AS id,
    CASE
      WHEN acted AND runs.id IN (SELECT rowid FROM texts WHERE texts MATCH :in_done) THEN 0
      WHEN status = 'crit' AND runs.id IN (SELECT rowid FROM texts WHERE texts MATCH :in_found)
        THEN 1
      ELSE 2
    END AS tier,
    round(bm25(texts, 4.0, 10.0, 6.0, 1.0), 1) AS score
  FROM texts JOIN runs ON runs.id = texts.rowid
  WHERE texts MATCH :words
    AND run_id >= :since
    AND run_id < :before
    AND (:runbook IS NULL OR runbook GLOB :runbook)
    AND (:target IS NULL OR target GLOB :target)
    AND (:status IS NULL OR status IN (SELECT value FROM json_each(:status))
         OR outcome IN (SELECT value FROM json_each(:status)))
    AND (:incident IS NULL OR incident GLOB :incident)
    AND (:operator IS NULL OR operator GLOB :operator)
    AND (:trigger IS NULL OR trigger GLOB :trigger)
    AND (:acted IS NULL OR acted = :acted)
  ORDER BY tier, score, run_id DESC
  LIMIT :page
)
SELECT
  run_id, runbook, target, status, outcome, open AS is_open, started, sentence, operator,
  snippet(texts, -1, '', '', ' ... ', 32) AS snippet
FROM best JOIN texts ON texts.rowid = best.id JOIN runs ON runs.id = best.id
WHERE texts MATCH :words
ORDER BY tier, score, run_id DESC
