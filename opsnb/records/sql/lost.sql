INSERT OR IGNORE INTO lost
SELECT named.at
FROM named
LEFT JOIN records ON records.run_id = named.run_id
LEFT JOIN removed ON removed.run_id = named.run_id AND removed.sha256 = named.sha256
WHERE named.at IS NOT NULL
  AND (records.run_id IS NULL OR records.state <> 'sealed' OR records.sha256 <> named.sha256)
  AND removed.at IS NULL
