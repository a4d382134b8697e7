-- Large tables that most scans read from end to end. Reads the statistics of all tables: about 20 ms
-- for ten thousand.
\set rows_from 10000
\set often 100
\set most 20
SELECT relid::regclass::text AS table,
    n_live_tup AS rows,
    seq_scan AS full_scans,
    coalesce(idx_scan, 0) AS index_scans,
    seq_tup_read / seq_scan AS rows_a_scan
FROM pg_stat_user_tables
WHERE n_live_tup >= :'rows_from'
    AND seq_scan >= :'often'
    AND seq_scan > coalesce(idx_scan, 0)
ORDER BY seq_tup_read DESC
LIMIT :'most'::int;
