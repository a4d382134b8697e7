"""A scratch database: made beside the live one and like it, filled from a dump, and counted.

What fails within drops it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import sql
from psycopg.conninfo import make_conninfo

from opsnb.errors import BadAnswer, ServiceError
from opsnb.guard import Permit
from opsnb.systems.database import programs
from opsnb.systems.database.access import SYSTEM, Connection, connection, session
from opsnb.systems.database.archives import Archive
from opsnb.systems.database.commands import run
from opsnb.target import Target

_COUNT_S = 3600.0
_NAME_BYTES = 63

Rows = dict[tuple[str, str], int]
"""How many rows each (schema, table) has."""


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
        " datdba::regrole::text AS quoted_owner, pg_get_userbyid(datdba) AS owner,"
        " current_user AS user, datacl IS NOT NULL AS has_grants,"
        " (SELECT spcname FROM pg_tablespace WHERE oid = dattablespace) AS tablespace,"
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
    return {**row, "grants": grants}


@contextmanager
def scratch(target: Target, permit: Permit, name: str, like: dict[str, Any]) -> Iterator[None]:
    """Have the scratch database `name` within, `like` the live one; what fails within drops it."""
    with session(target, permit) as server:
        for _ in run(target, server, _creation(name, like)):
            pass
    try:
        with session(target, permit, database=name) as server:
            for statement in _likenesses(name, like):
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


def _creation(name: str, like: dict[str, Any]) -> sql.Composed:
    facts = like["facts"]
    parts = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)),
        sql.SQL("ENCODING {}").format(like["encoding"]),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(facts["datcollate"], facts["datctype"]),
        sql.SQL("TABLESPACE {}").format(sql.Identifier(like["tablespace"])),
        sql.SQL("CONNECTION LIMIT {}").format(facts["datconnlimit"]),
    ]
    # Since versions 15 and 17.
    locale = facts.get("datlocale") or facts.get("daticulocale")
    match facts.get("datlocprovider"):
        case "i":
            parts.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(locale))
        case "b":
            parts.append(sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(locale))
    if like["owner"] != like["user"]:
        parts.append(sql.SQL("OWNER {}").format(sql.Identifier(like["owner"])))
    return sql.SQL(" ").join(parts)


def _likenesses(name: str, like: dict[str, Any]) -> Iterator[sql.Composed]:
    """Yield what gives the database the settings and grants of the live one."""
    database = sql.Identifier(name)
    for setting in like["settings"]:
        key, _, value = setting.partition("=")
        # Stored values are in the form that this function takes; ALTER's own syntax is another.
        yield sql.SQL("SELECT set_config({}, {}, false)").format(key, value)
        yield sql.SQL("ALTER DATABASE {} SET {} FROM CURRENT").format(
            database, sql.Identifier(*key.split("."))
        )
    if like["has_grants"]:
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)
    for grant in like["grants"]:
        grantee = sql.Identifier(grant["grantee"]) if grant["grantee"] else sql.SQL("PUBLIC")
        option = sql.SQL(" WITH GRANT OPTION" if grant["grantable"] else "")
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(grant["privilege"]), database, grantee, option
        )


def filled(target: Target, permit: Permit, archive: Archive, name: str) -> Iterator[None]:
    """Restore the dump into database `name`, and give the planner its statistics."""
    # A connection string, because a bare name with `=` in it would be taken for one.
    place = f"--dbname={make_conninfo(dbname=name)}"
    if archive.format == "custom":
        arguments = ["--exit-on-error", "--no-password", place, str(archive.path)]
        yield from programs.run(target, "pg_restore", arguments)
    else:
        arguments = ["--no-psqlrc", "--quiet", "--no-password", "--single-transaction"]
        arguments += ["--set=ON_ERROR_STOP=1", place, "--file=-"]
        yield from programs.run(target, "psql", arguments, feed=archive.chunks())
    with session(target, permit, database=name) as server:
        yield from run(target, server, sql.SQL("ANALYZE"))


def counts(target: Target, database: str) -> Rows:
    """Count the rows of all tables, one after another."""
    with connection(target, database, limit_s=_COUNT_S) as server:
        tables = server.execute(
            "SELECT n.nspname AS schema, c.relname AS name FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND c.relpersistence <> 't'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " ORDER BY 1, 2"
        ).fetchall()
        counts: Rows = {}
        for table in tables:
            place = sql.Identifier(table["schema"], table["name"])
            row = server.execute(
                sql.SQL("SELECT count(*) AS n FROM ONLY {}").format(place)
            ).fetchone()
            counts[table["schema"], table["name"]] = row["n"] if row else 0
    return counts


def demand_equal(held: Rows, restored: Rows) -> None:
    """Raise BadAnswer when a table was not restored with the rows that the dump holds."""
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
