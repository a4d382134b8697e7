INSERT INTO members VALUES (:run, :target, :status, :exit_code, :sentence, :member_run_id)
