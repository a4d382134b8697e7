-- The last run that continued another one.
SELECT run_id FROM runs WHERE parent = :parent ORDER BY run_id DESC LIMIT 1
