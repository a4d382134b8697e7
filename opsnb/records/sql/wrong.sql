-- What is wrong, by run id. `:slack` is how long, in seconds, a record may take to appear after it
-- was sealed: every record that was sealed later than that names it, or one that does.
WITH wrong AS (
  SELECT run_id, state AS kind, sentence, '' AS by, sha256
  FROM records
  WHERE state IN ('changed', 'damaged')
    AND run_id NOT IN (SELECT run_id FROM removed)  -- a killed prune left a part of it

  UNION ALL
  SELECT named.run_id, 'resealed', '', max(named.by), records.sha256
  FROM named JOIN records ON records.run_id = named.run_id
  WHERE records.state IN ('sealed', 'unsealed', 'open') AND records.sha256 IS NOT named.sha256
  GROUP BY named.run_id

  UNION ALL
  SELECT named.run_id, 'removed', '', max(named.by), NULL
  FROM named
  LEFT JOIN records ON records.run_id = named.run_id
  LEFT JOIN removed ON removed.run_id = named.run_id AND removed.sha256 = named.sha256
  WHERE records.run_id IS NULL AND removed.run_id IS NULL
  GROUP BY named.run_id

  UNION ALL
  SELECT run_id, 'inserted', '', '', sha256
  FROM records AS one
  WHERE state = 'sealed'
    AND EXISTS (
      SELECT 1 FROM records AS later
      WHERE later.state = 'sealed'
        AND later.run_id IN (SELECT run_id FROM named)  -- else it may be the one that was put in
        AND later.at > one.at + :slack
        AND later.at < min(
          ifnull((SELECT min(at) FROM named WHERE run_id = one.run_id), 9e99),
          ifnull((SELECT min(at) FROM lost WHERE at > one.at), 9e99)
        )
    )

  UNION ALL
  SELECT run_id, 'unsealed', '', '', NULL
  FROM records
  WHERE state = 'unsealed'
    AND began > (SELECT min(at) FROM records WHERE state = 'sealed')
    AND run_id NOT IN (SELECT run_id FROM named)
)
SELECT wrong.*
FROM wrong LEFT JOIN records ON records.run_id = wrong.run_id
WHERE (wrong.run_id, ifnull(records.content, '')) NOT IN (SELECT run_id, content FROM accepted)
ORDER BY wrong.run_id
