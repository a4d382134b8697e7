"""Putting a restored database in the live one's place: by renaming both, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, UsageError
from opsnb.systems.database.access import LOCK_WAIT_S, SYSTEM, Connection, connection, session
from opsnb.systems.database.commands import run_while
from opsnb.systems.database.scratch import dress
from opsnb.view.formats import counted

_MAINTENANCE = ("postgres", "template1")


def demand_swappable(target: Target, database: Connection) -> None:
    """Raise an error when this login cannot rename the live database, or end who is in it."""
    live, login = database.info.dbname, database.info.user
    if live in _MAINTENANCE:
        raise UsageError(f"{live} is PostgreSQL's own database and is not swapped.")
    row = database.execute(
        "SELECT pg_has_role(datdba, 'USAGE') AS owns, pg_get_userbyid(datdba) AS owner"
        " FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    if not row or not row["owns"]:
        owner = f", {row['owner']}" if row else ""
        message = (
            f"Login {login} does not own {live}, so it cannot rename it; use its owner{owner}."
        )
        raise BadAnswer(SYSTEM, message)
    prepared = database.execute(
        "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() LIMIT 1"
    ).fetchone()
    if prepared:
        raise BadAnswer(
            SYSTEM,
            f"{live} has a prepared transaction, {prepared['gid']}, so it cannot be renamed: "
            "COMMIT PREPARED or ROLLBACK PREPARED it first.",
        )
    kept = [row for row in _sessions(database) if not row["may_end"]]
    if kept:
        raise BadAnswer(
            SYSTEM,
            f"Login {login} may not end the sessions of {_listed(kept)} in {live}, and a database "
            "that is in use cannot be renamed: end them, GRANT pg_signal_backend TO "
            f"{sql.Identifier(login).as_string()} (superusers' sessions excepted), or use a "
            "superuser.",
        )
    _maintenance(target)


def consequences(database: Connection, like: dict[str, Any]) -> str:
    """Return what a swap does to others, and what does not move to the new database."""
    live = database.info.dbname
    sessions = _sessions(database)
    told = ["Every session of the live database is ended and requests fail for a moment"]
    if sessions:
        told[0] += f" ({_listed(sessions)} now; poolers connect again by themselves)"
    told.append("what was written since the backup is in the old database alone")
    slots = [
        row["name"]
        for row in database.execute(
            "SELECT slot_name AS name FROM pg_replication_slots WHERE database = %s", [live]
        )
    ]
    if slots:
        told.append(f"replication slots stay with the old database: {', '.join(slots)}")
    subscriptions = [
        row["name"]
        for row in database.execute(
            "SELECT subname AS name FROM pg_subscription WHERE subdbid ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    ]
    if subscriptions:
        told.append(f"subscriptions stay with the old database: {', '.join(subscriptions)}")
    roles = {row["role"] for row in like["of_roles"]} - {like["user"]}
    if roles and not _is_superuser(database):
        told.append(
            f"settings of {', '.join(sorted(roles))} in this database need a superuser to be "
            "carried over"
        )
    return "; ".join(told) + "."


def _is_superuser(database: Connection) -> bool:
    row = database.execute(
        "SELECT rolsuper AS yes FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    return bool(row and row["yes"])


def _sessions(database: Connection) -> list[dict[str, Any]]:
    """Return who is in the live database, and whether this login may end it."""
    return database.execute(
        "SELECT a.usename AS login, coalesce(nullif(a.application_name, ''), '') AS application,"
        " count(*) AS n, bool_and(m.rolsuper OR (NOT r.rolsuper AND"
        " (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))))"
        " AS may_end"
        " FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid"
        " JOIN pg_roles m ON m.rolname = current_user"
        " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
        " GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20"
    ).fetchall()


def _listed(sessions: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{counted(row['n'], 'session')} of {row['login']}"
        + (f" ({row['application']})" if row["application"] else "")
        for row in sessions
    )


def swapped(
    target: Target, permit: Permit, renamed: list[tuple[str, str]], like: dict[str, Any]
) -> Iterator[None]:
    """Rename the live database away and the scratch one to its name, both or neither.

    `renamed` are old and new names, in their order. The rename locks the live database, so that
    newcomers wait, and goes on when the last session has ended; these are ended from a second
    connection. The service then connects to the new one.
    """
    (live, _), (scratch, _) = renamed
    with (
        session(target, permit, database=_maintenance(target), lock_wait_s=LOCK_WAIT_S) as server,
        session(target, permit, database=_maintenance(target)) as ending,
    ):

        def end_sessions() -> None:
            ending.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = ANY(%s) AND pid <> pg_backend_pid() AND usesysid IS NOT NULL",
                [[live, scratch]],
            )

        server.execute("BEGIN")
        for statement in dress(scratch, like):
            server.execute(statement)
        for old, new in renamed:
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(old), sql.Identifier(new)
            )
            yield from run_while(server, rename, end_sessions)
        server.execute("COMMIT")


def _maintenance(target: Target) -> str:
    """Return a database to be in while the live one is renamed."""
    with connection(target) as database:
        rows = database.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND datname = ANY(%s)"
            " AND has_database_privilege(oid, 'CONNECT') ORDER BY 1",
            [list(_MAINTENANCE)],
        ).fetchall()
    if not rows:
        raise BadAnswer(SYSTEM, "There is no database postgres or template1 to rename from.")
    return str(rows[0]["datname"])
