-- What belongs to this database and is in no dump of it: encoding, locale, owner, tablespace,
-- comment and settings. As JSON, because the columns differ from version to version. Costs nothing.
SELECT to_jsonb(d) - 'datacl' AS facts,
    pg_encoding_to_char(encoding) AS encoding,
    pg_get_userbyid(datdba) AS owner,
    current_user AS user,
    datacl IS NOT NULL AS has_grants,
    shobj_description(oid, 'pg_database') AS comment,
    (
        SELECT spcname
        FROM pg_tablespace
        WHERE oid = dattablespace
            AND oid <> (SELECT dattablespace FROM pg_database WHERE datname = 'template0')
    ) AS tablespace,
    has_tablespace_privilege(dattablespace, 'CREATE') AS may_use_tablespace,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        OR pg_has_role(datdba, 'MEMBER') AS may_give,
    ARRAY(
        SELECT unnest(setconfig)
        FROM pg_db_role_setting
        WHERE setdatabase = d.oid AND setrole = 0
    ) AS settings
FROM pg_database d
WHERE datname = current_database();
