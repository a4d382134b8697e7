INSERT OR REPLACE INTO broken VALUES (:run_id, :sentence, :size, :mtime_ns, :inode)
