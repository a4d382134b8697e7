"""What a login may see of others' work, and how it comes to see the rest.

Without pg_read_all_stats PostgreSQL shows that others' sessions and statements are there, and hides
what they do: that is not "nothing".
"""

from __future__ import annotations

from typing import LiteralString

from opsnb.checks import evidence
from opsnb.errors import BadAnswer
from opsnb.redaction import outside
from opsnb.systems.database.access import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.words import quoted
from opsnb.view.formats import counted

HIDDEN: LiteralString = (
    "(backend_type IS NULL AND usesysid IS NOT NULL AND datid IS NOT NULL"
    " AND pid NOT IN (SELECT pid FROM pg_stat_replication WHERE pid IS NOT NULL))"
)
"""The condition on pg_stat_activity for clients' sessions of which no more is seen."""

CLIENTS: LiteralString = f"(backend_type = 'client backend' OR {HIDDEN})"
"""The condition for all clients' sessions."""

LOCKED: LiteralString = (
    "locked AS MATERIALIZED (SELECT relation FROM pg_locks"
    " WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)
"""A table that somebody holds exclusively, or waits for, would make us wait in its queue."""

HERE: LiteralString = "datname = current_database()"

QUERY: LiteralString = "left(query, 8192) AS query"
"""The statement of a session in pg_stat_activity, of which `statement` returns what is shown."""


def statement(query: str, most: int) -> str:
    """Return the beginning of a session's statement, which the server itself may have cut."""
    return outside.head(outside.opened(query), most)


def note_hidden_sessions(database: Connection, where: LiteralString = "true") -> int:
    """Say how many sessions of clients `where` cannot be judged; return their number."""
    row = database.execute(
        "SELECT count(*)::int AS n, current_setting('track_activities') = 'off' AS untold"
        f" FROM pg_stat_activity WHERE {HIDDEN} AND ({where})"
    ).fetchone()
    hidden = int(row["n"]) if row else 0
    if row and row["untold"]:
        evidence.partial(
            "track_activities is off, so no session says what it does; as superuser: ALTER SYSTEM "
            "SET track_activities = on; SELECT pg_reload_conf();"
        )
    if hidden:
        evidence.partial(
            f"login {login(database)} may not see the sessions of other roles "
            f"({counted(hidden, 'session')}); {granted(database)}"
        )
    return hidden


COUNT_AGAIN = "as superuser: ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();"
"""How the server comes to count rows, blocks and scans again."""


def counts(database: Connection) -> bool:
    """Return whether the server counts what is read and written; where not, its numbers are old."""
    row = database.execute("SELECT current_setting('track_counts') = 'on' AS counts").fetchone()
    return bool(row and row["counts"])


def demand_counts(database: Connection) -> None:
    """Raise BadAnswer where the server does not count what is read and written."""
    if not counts(database):
        raise BadAnswer(SYSTEM, f"track_counts is off, so nothing is counted; {COUNT_AGAIN}")


def note_uncounted(database: Connection) -> None:
    """Say that rows and scans are not counted, where it is so."""
    if not counts(database):
        evidence.partial(f"track_counts is off, so rows and scans are not counted; {COUNT_AGAIN}")


def note_hidden_statements(database: Connection, count: int) -> None:
    """Say that the statistics of other roles' statements have no text."""
    if count:
        evidence.partial(
            f"login {login(database)} may not see the statements of other roles "
            f"({counted(count, 'statement')}); {granted(database)}"
        )


def granted(database: Connection) -> str:
    """Return what a superuser types to let this login see the rest."""
    return f"as superuser: GRANT pg_monitor TO {login(database)};"


def login(database: Connection) -> str:
    """Return the login's role, as SQL writes it."""
    row = database.execute("SELECT current_user::text AS name").fetchone()
    return quoted(str(row["name"])) if row else ""
