-- How many transaction ids this database has used since its last freeze, of about two billion.
SELECT age(datfrozenxid) AS xids,
    current_setting('autovacuum') AS autovacuum,
    current_setting('track_counts') AS track_counts
FROM pg_database
WHERE datname = current_database();
