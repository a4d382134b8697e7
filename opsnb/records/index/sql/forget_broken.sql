DELETE FROM broken WHERE run_id = :run_id
