SELECT id, run_id, read_ns FROM runs WHERE NOT searchable ORDER BY run_id DESC
