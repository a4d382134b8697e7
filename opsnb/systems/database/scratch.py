"""A scratch database: made beside the live one and like it, filled from a dump, and counted.

What fails within drops it again. A comment marks it as opsnb's, and nothing without it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from opsnb.actions.action import Permit
from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError
from opsnb.systems.database.access import SYSTEM, Connection, connection, reason, session
from opsnb.systems.database.commands import run
from opsnb.systems.database.contents import LARGE_OBJECTS, Contents, Rows

_COUNT_S = 3600.0
_NAME_BYTES = 63
_MARK = "opsnb: scratch database of "


def named(live: str, what: str, stamp: str) -> str:
    """Return `live_what_stamp`, cut to what PostgreSQL takes."""
    tail = f"_{what}_{stamp.lower()}"
    head = live.encode()[: _NAME_BYTES - len(tail)].decode(errors="ignore")
    return head + tail


def likeness(database: Connection) -> dict[str, Any]:
    """Return what a database has that no dump of it holds: locale, owner, settings and grants."""
    row = database.execute(
        # As JSON, because what columns there are differs from version to version.
        "SELECT to_jsonb(d) - 'datacl' AS facts, pg_encoding_to_char(encoding) AS encoding,"
        " pg_get_userbyid(datdba) AS owner, current_user AS user, datacl IS NOT NULL AS has_grants,"
        " shobj_description(oid, 'pg_database') AS comment,"
        " (SELECT spcname FROM pg_tablespace WHERE oid = dattablespace AND oid <>"
        " (SELECT dattablespace FROM pg_database WHERE datname = 'template0')) AS tablespace,"
        " has_tablespace_privilege(dattablespace, 'CREATE') AS may_use_tablespace,"
        " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
        " OR pg_has_role(datdba, 'MEMBER') AS may_give,"
        " ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting"
        " WHERE setdatabase = d.oid AND setrole = 0) AS settings"
        " FROM pg_database d WHERE datname = current_database()"
    ).fetchone()
    assert row is not None  # the database that one is in exists
    grants = database.execute(
        "SELECT CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END AS grantee,"
        " privilege_type AS privilege, is_grantable AS grantable"
        " FROM pg_database d, aclexplode(datacl) WHERE datname = current_database()"
    ).fetchall()
    of_roles = database.execute(
        "SELECT pg_get_userbyid(setrole) AS role, unnest(setconfig) AS setting"
        " FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase"
        " WHERE datname = current_database() AND setrole <> 0"
    ).fetchall()
    return {**row, "grants": grants, "of_roles": of_roles}


def demand_tablespace(like: dict[str, Any]) -> None:
    """Raise BadAnswer when this login may not make databases where the live one lies."""
    if like["tablespace"] and not like["may_use_tablespace"]:
        place = quoted(like["tablespace"])
        raise BadAnswer(
            SYSTEM,
            f"The database lies in tablespace {place}, where login {like['user']} may not make "
            f"databases: as superuser, GRANT CREATE ON TABLESPACE {place} TO "
            f"{quoted(like['user'])}; or use another login.",
        )


@contextmanager
def scratch(target: Target, permit: Permit, name: str, like: dict[str, Any]) -> Iterator[None]:
    """Have the scratch database `name` within, `like` the live one; what fails within drops it."""
    with session(target, permit) as server:
        for _ in run(target, server, _creation(name, like)):
            pass
        mark = f"{_MARK}{like['facts']['datname']}"
        server.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), mark))
    try:
        with session(target, permit) as server:
            for statement in _grants(name, like):
                server.execute(statement)
        yield
    except BaseException as error:
        try:
            drop(target, permit, name)
        except ServiceError:
            raise BadAnswer(
                SYSTEM,
                f"{error} The scratch database stays; when the server is back: "
                f"DROP DATABASE {quoted(name)};",
            ) from error
        raise


def drop(target: Target, permit: Permit, scratch: str) -> None:
    """Drop a scratch database, with whatever sessions are in it."""
    with session(target, permit) as server:
        server.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(scratch))
        )


def is_marked(database: Connection, name: str) -> bool:
    """Whether a database is a scratch one of ours, which this login may drop."""
    row = database.execute(
        "SELECT coalesce(shobj_description(oid, 'pg_database'), '') AS comment,"
        " pg_has_role(datdba, 'USAGE') AS owns FROM pg_database WHERE datname = %s",
        [name],
    ).fetchone()
    return bool(row and row["owns"] and row["comment"].startswith(_MARK))


def _creation(name: str, like: dict[str, Any]) -> sql.Composed:
    facts = like["facts"]
    parts = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)),
        sql.SQL("ENCODING {}").format(like["encoding"]),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(facts["datcollate"], facts["datctype"]),
    ]
    if like["tablespace"]:
        parts.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(like["tablespace"])))
    # Since versions 15 and 17.
    locale = facts.get("datlocale") or facts.get("daticulocale")
    match facts.get("datlocprovider"):
        case "i":
            parts.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(locale))
            if facts.get("daticurules"):
                parts.append(sql.SQL("ICU_RULES {}").format(facts["daticurules"]))
        case "b":
            parts.append(sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(locale))
        case "c":  # not template0's, which is the cluster's
            parts.append(sql.SQL("LOCALE_PROVIDER libc").format())
    if like["owner"] != like["user"] and like["may_give"]:
        parts.append(sql.SQL("OWNER {}").format(sql.Identifier(like["owner"])))
    return sql.SQL(" ").join(parts)


def _grants(name: str, like: dict[str, Any]) -> Iterator[sql.Composed]:
    database = sql.Identifier(name)
    if like["has_grants"]:
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)
    for grant in like["grants"]:
        grantee = sql.Identifier(grant["grantee"]) if grant["grantee"] else sql.SQL("PUBLIC")
        option = sql.SQL(" WITH GRANT OPTION" if grant["grantable"] else "")
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(grant["privilege"]), database, grantee, option
        )


def likened(target: Target, permit: Permit, name: str, like: dict[str, Any]) -> list[str]:
    """Give a filled scratch database the live one's settings; return those that were refused.

    After it was filled: a database may be set to read only.
    """
    database, refused = sql.Identifier(name), []
    settings = [(None, setting) for setting in like["settings"]]
    settings += [(row["role"], row["setting"]) for row in like["of_roles"]]
    for role, setting in settings:
        key, _, value = setting.partition("=")
        whom = sql.SQL("DATABASE {}").format(database)
        if role:
            whom = sql.SQL("ROLE {} IN ").format(sql.Identifier(role)) + whom
        alter = sql.SQL("ALTER {} SET {} FROM CURRENT").format(
            whom, sql.Identifier(*key.split("."))
        )
        # A session for each: what is set here would act on what follows.
        with session(target, permit, database=name) as server:
            try:
                server.execute("BEGIN READ WRITE")
                # Stored values are in the form that this function takes; ALTER's is another.
                server.execute("SELECT set_config(%s, %s, false)", [key, value])
                server.execute(alter)
                server.execute("COMMIT")
            except psycopg.Error as error:
                if error.sqlstate is None:
                    raise
                of = f" of login {role}" if role else ""
                refused.append(f"setting {key}{of} ({reason(error)})")
    return refused


def dress(name: str, like: dict[str, Any]) -> Iterator[sql.Composed]:
    """Yield what gives the database the last that it lacks to take the live one's place."""
    facts, database = like["facts"], sql.Identifier(name)
    yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, like["comment"])
    yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, facts["datconnlimit"])
    if facts["datistemplate"]:
        yield sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(database)


def counts(
    target: Target, database: str, held: Rows | None = None, before: Rows | None = None
) -> Rows:
    """Count the rows of all tables, one after another.

    The rows of a partitioned table count as its own where `held` has them so. A table that this
    login may not count is left out, and that is reported: as a gap where `held` is to be compared.
    What was counted `before` stands where policies keep the login from it now.
    """
    tell = evidence.without if held is None else evidence.partial
    with connection(target, database, limit_s=_COUNT_S) as server:
        # Else a policy would hide rows from the count.
        server.execute("SELECT set_config('row_security', 'off', true)")
        tables = server.execute(
            "SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS is_root"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " ORDER BY 2, 3"
        ).fetchall()
        counts: Rows = {}
        for table in tables:
            key = (table["schema"], table["name"])
            if table["is_root"] and key not in (held or {}):
                continue
            count, why = _count(server, key, is_root=table["is_root"])
            if why and key in (before or {}):
                count = (before or {})[key]
            elif why:
                tell(f"the rows of {'.'.join(key)} in {database}, because {why}")
                continue
            if table["is_root"]:
                count -= sum((held or {}).get(leaf, 0) for leaf in _leaves(server, table["oid"]))
            counts[key] = count
        if LARGE_OBJECTS in (held or {}):
            counts[LARGE_OBJECTS], _ = _count(server, LARGE_OBJECTS)
    return counts


def _count(server: Connection, table: tuple[str, str], *, is_root: bool = False) -> tuple[int, str]:
    """Return how many rows a table has, or why this login cannot count them."""
    only = sql.SQL("" if is_root else "ONLY ")
    statement = sql.SQL("SELECT count(*) AS n FROM {}{}").format(only, sql.Identifier(*table))
    try:
        with server.transaction():
            row = server.execute(statement).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        return 0, reason(error)
    return (int(row["n"]) if row else 0), ""


def _leaves(server: Connection, root: int) -> list[tuple[str, str]]:
    rows = server.execute(
        "SELECT n.nspname AS schema, c.relname AS name FROM pg_partition_tree(%s::regclass) t"
        " JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE t.isleaf",
        [root],
    ).fetchall()
    return [(row["schema"], row["name"]) for row in rows]


def missing_tables(target: Target, database: str, contents: Contents) -> list[str]:
    """Return the tables of a dump that a database does not have."""
    with connection(target, database) as server:
        rows = server.execute(
            "SELECT n.nspname AS schema, c.relname AS name FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f')"
        ).fetchall()
    there = {(row["schema"], row["name"]) for row in rows}
    return sorted(".".join(key) for key in contents.tables - there)


def demand_equal(contents: Contents, restored: Rows, missing: list[str]) -> None:
    """Raise BadAnswer when a table was not restored with the rows that the dump holds."""
    if missing:
        message = f"The restored database lacks a table of the backup: {', '.join(missing[:8])}."
        raise BadAnswer(SYSTEM, message)
    held = contents.rows
    wrong = [key for key, count in held.items() if restored.get(key) != count]
    if wrong:
        schema, name = wrong[0]
        raise BadAnswer(
            SYSTEM,
            f"The restored database is not what the backup holds: {schema}.{name} has "
            f"{restored.get(wrong[0], 'no')} rows in place of {held[wrong[0]]}.",
        )


def quoted(name: str) -> str:
    """Return a name as it stands in a statement."""
    return sql.Identifier(name).as_string()
