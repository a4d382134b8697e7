-- Where pg_stat_statements is in this database, whether this login may use its schema, and the
-- columns of its version. Costs nothing.
SELECT n.nspname AS schema,
    e.extversion AS version,
    has_schema_privilege(n.oid, 'USAGE') AS usable,
    ARRAY(
        SELECT a.attname::text
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
    ) AS columns
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements';
