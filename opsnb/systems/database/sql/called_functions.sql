-- Which of these names are functions of this database. Reads the catalogue by its key.
\set names '{now}'
SELECT DISTINCT proname AS name
FROM pg_proc
WHERE proname = ANY(:'names'::text[]);
