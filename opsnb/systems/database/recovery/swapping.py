"""Putting a restored database in the live one's place: both are renamed, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from opsnb.errors import BadAnswer, UsageError
from opsnb.systems.database import queries
from opsnb.systems.database.commands import run_while
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.recovery.likeness import Likeness, last_touches
from opsnb.systems.database.words import quoted
from opsnb.view.formats import counted

_MAINTENANCE = ("postgres", "template1")


def demand_swappable(database: Connection) -> str:
    """Return the database to rename the connection's own from.

    Raises an error if this login cannot rename it, or cannot end its sessions.
    """
    live, login = database.info.dbname, database.info.user
    if live in _MAINTENANCE:
        raise UsageError(f"{live} is PostgreSQL's own database and is not swapped.")
    facts = queries.row(database, "database_owner")
    if not facts["owns"]:
        raise BadAnswer(
            SYSTEM,
            f"Login {login} does not own {live}, so it cannot rename it; use its owner, "
            f"{facts['owner']}.",
        )
    if facts["prepared"]:
        raise BadAnswer(
            SYSTEM,
            f"{live} has a prepared transaction, {facts['prepared']}, so it cannot be renamed: "
            "COMMIT PREPARED or ROLLBACK PREPARED it first.",
        )
    kept = [row for row in queries.rows(database, "sessions_by_login") if not row["may_end"]]
    if kept:
        raise BadAnswer(
            SYSTEM,
            f"Login {login} may not end the sessions of {_listed(kept)} in {live}, and a database "
            "that is in use cannot be renamed: end them, GRANT pg_signal_backend TO "
            f"{quoted(login)} (superusers' sessions excepted), or use a superuser.",
        )
    if not facts["maintenance"]:
        raise BadAnswer(SYSTEM, "There is no database postgres or template1 to rename from.")
    return str(facts["maintenance"])


def consequences(database: Connection, like: Likeness) -> str:
    """Return what a swap does to others, and what does not move to the new database."""
    sessions = queries.rows(database, "sessions_by_login")
    facts = queries.row(database, "replication")
    now = f" ({_listed(sessions)} now; poolers reconnect by themselves)" if sessions else ""
    parts = [
        f"The swap ends every session of the live database{now}, and requests fail for a moment",
        "changes since the backup stay in the old database",
    ]
    for what, key in (("replication slots", "slots"), ("subscriptions", "subscriptions")):
        if facts[key]:
            parts.append(f"{what} stay with the old database: {', '.join(facts[key])}")
    roles = {row["role"] for row in like["of_roles"]} - {like["user"]}
    if roles and not facts["is_super"]:
        parts.append(
            f"only a superuser can carry over the settings of {', '.join(sorted(roles))} in this "
            "database"
        )
    return "; ".join(parts) + "."


def _listed(sessions: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{counted(row['n'], 'session')} of {row['login']}"
        + (f" ({row['application']})" if row["application"] else "")
        for row in sessions
    )


def swapped(
    server: Connection, ending: Connection, renamed: list[tuple[str, str]], like: Likeness
) -> Iterator[None]:
    """Rename the live database away and the scratch one to its name, both or neither.

    `renamed` are old and new names, in order. The rename locks the live database, so that new
    connections wait, and goes on when the last session has ended; `ending` ends these. Both
    connections are to another database of the same server, in autocommit mode.
    """
    (live, _), (scratch, _) = renamed

    def end_sessions() -> None:
        queries.rows(ending, "end_database_sessions", databases=[live, scratch])

    server.execute("BEGIN")
    for statement in last_touches(scratch, like):
        server.execute(statement)
    for old, new in renamed:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
            sql.Identifier(old), sql.Identifier(new)
        )
        yield from run_while(server, rename, end_sessions)
    server.execute("COMMIT")
