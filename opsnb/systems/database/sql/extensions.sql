-- Which of these extensions the server has, and whether only a superuser may create them. Reads the
-- control files of all extensions: some milliseconds.
\set names '{plpgsql}'
SELECT a.name, bool_or(v.superuser AND NOT v.trusted) AS is_restricted
FROM pg_available_extensions a
LEFT JOIN pg_available_extension_versions v
    ON v.name = a.name AND v.version = a.default_version
WHERE a.name = ANY(:'names'::text[])
GROUP BY 1;
