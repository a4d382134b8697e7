-- What is known of the records of a window: of each, what is compared with its file, and whether
-- it may change without its file being asked (open, or not readable).
SELECT run_id, size, mtime_ns, inode, open AS may_change FROM runs WHERE run_id >= :since
UNION ALL
SELECT run_id, size, mtime_ns, inode, 1 FROM broken
WHERE run_id >= :since AND run_id NOT IN (SELECT run_id FROM runs)
