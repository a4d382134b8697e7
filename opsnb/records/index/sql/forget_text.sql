DELETE FROM texts WHERE rowid = (SELECT id FROM runs WHERE run_id = :run_id)
