-- The tables among `tables` whose indexes this login may rebuild: its own and, since version 17,
-- those on which it has MAINTAIN. Reads the catalogue by its key.
\set tables '{1259}'
SELECT c.oid::bigint
FROM pg_class c
WHERE c.oid = ANY(:'tables'::oid[])
    AND (
        pg_has_role(c.relowner, 'USAGE')
        OR CASE
            WHEN current_setting('server_version_num')::int >= 170000
            THEN has_table_privilege(c.oid, 'MAINTAIN')
        END
    );
