"""What belongs to a database and is in no dump of it: locale, owner, settings and privileges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from opsnb.errors import BadAnswer
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM, reason
from opsnb.systems.database.words import quoted

Likeness = dict[str, Any]


def likeness(database: Connection) -> Likeness:
    """Return what the connection's database has that no dump of it holds."""
    return {
        **queries.row(database, "likeness"),
        "grants": queries.rows(database, "database_grants"),
        "of_roles": queries.rows(database, "role_settings"),
    }


def demand_tablespace(like: Likeness) -> None:
    """Raise BadAnswer if this login may not create databases in the live one's tablespace."""
    if like["tablespace"] and not like["may_use_tablespace"]:
        place, login = quoted(like["tablespace"]), quoted(like["user"])
        raise BadAnswer(
            SYSTEM,
            f"The database is in tablespace {place}, where login {login} may not create databases: "
            f"as superuser, GRANT CREATE ON TABLESPACE {place} TO {login}; or use another login.",
        )


def creation(name: str, like: Likeness) -> sql.Composed:
    """Return the statement that creates the database `name` like the live one."""
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


def grants(name: str, like: Likeness) -> Iterator[sql.Composed]:
    """Yield the statements that give the database `name` the live one's privileges."""
    database = sql.Identifier(name)
    if like["has_grants"]:
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)
    for grant in like["grants"]:
        grantee = sql.Identifier(grant["grantee"]) if grant["grantee"] else sql.SQL("PUBLIC")
        option = sql.SQL(" WITH GRANT OPTION" if grant["grantable"] else "")
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(grant["privilege"]), database, grantee, option
        )


def copy_settings(session: Connection, name: str, like: Likeness) -> list[str]:
    """Give the database `name` the live one's settings; return the settings that were refused.

    Call it when the database is filled, because a setting may make it read-only. `session` is in
    autocommit mode.
    """
    settings = [(None, setting) for setting in like["settings"]]
    settings += [(row["role"], row["setting"]) for row in like["of_roles"]]
    refused = []
    for role, setting in settings:
        key, _, value = setting.partition("=")
        whom = sql.SQL("DATABASE {}").format(sql.Identifier(name))
        if role:
            whom = sql.SQL("ROLE {} IN ").format(sql.Identifier(role)) + whom
        alter = sql.SQL("ALTER {} SET {} FROM CURRENT").format(
            whom, sql.Identifier(*key.split("."))
        )
        try:
            with session.transaction():
                # Stored values have the form that this function takes; ALTER's form is another.
                # For this transaction only, so that it does not act on the next one.
                session.execute("SELECT set_config(%s, %s, true)", [key, value])
                session.execute(alter)
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            of = f" of login {role}" if role else ""
            refused.append(f"setting {key}{of} ({reason(error)})")
    return refused


def last_touches(name: str, like: Likeness) -> Iterator[sql.Composed]:
    """Yield the statements that the database `name` still needs to take the live one's place."""
    facts, database = like["facts"], sql.Identifier(name)
    yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, like["comment"])
    yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, facts["datconnlimit"])
    if facts["datistemplate"]:
        yield sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(database)
