-- Who owns a table, and whether this login may act as the owner. Reads the catalogue by its key.
\set table 1259
SELECT relowner::regrole::text AS owner, pg_has_role(relowner, 'USAGE') AS owns
FROM pg_class
WHERE oid = :'table';
