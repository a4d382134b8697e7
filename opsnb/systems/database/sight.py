"""What a login may see of other roles' work, and the right that shows it the rest.

Without pg_read_all_stats, PostgreSQL shows that other roles' sessions and statements exist, but not
what they do. That does not mean "nothing".
"""

from __future__ import annotations

from opsnb.checks import evidence
from opsnb.errors import BadAnswer
from opsnb.redaction import outside
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.words import quoted
from opsnb.view.formats import counted


def statement(query: str, most: int) -> str:
    """Return the first `most` characters of a statement, which the server may have cut."""
    return outside.head(outside.opened(query), most)


def note_hidden_sessions(database: Connection) -> None:
    """Report how many clients' sessions of this database this login may not see."""
    row = queries.row(database, "hidden_sessions")
    hidden = row["n"]
    if row["unreported"]:
        evidence.partial(
            "track_activities is off, so no session reports what it does; as superuser: ALTER "
            "SYSTEM SET track_activities = on; SELECT pg_reload_conf();"
        )
    if hidden:
        evidence.partial(
            f"login {login(database)} may not see the sessions of other roles "
            f"({counted(hidden, 'session')}); {granted(database)}"
        )


COUNT_AGAIN = "as superuser: ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();"
"""The command that makes the server count rows, blocks and scans again."""


def counts(database: Connection) -> bool:
    """Return whether the server counts reads and writes; if not, its numbers are old."""
    (row,) = database.execute("SELECT current_setting('track_counts') = 'on' AS counts")
    return bool(row["counts"])


def demand_counts(database: Connection) -> None:
    """Raise BadAnswer if the server does not count reads and writes."""
    if not counts(database):
        raise BadAnswer(SYSTEM, f"track_counts is off, so nothing is counted; {COUNT_AGAIN}")


def note_uncounted(database: Connection) -> None:
    """Report it if the server does not count rows and scans."""
    if not counts(database):
        evidence.partial(f"track_counts is off, so rows and scans are not counted; {COUNT_AGAIN}")


def note_hidden_statements(database: Connection, count: int) -> None:
    """Report how many statements of other roles this login may not see."""
    if count:
        evidence.partial(
            f"login {login(database)} may not see the statements of other roles "
            f"({counted(count, 'statement')}); {granted(database)}"
        )


def granted(database: Connection) -> str:
    """Return the command with which a superuser lets this login see the rest."""
    return f"as superuser: GRANT pg_monitor TO {login(database)};"


def login(database: Connection) -> str:
    """Return the login's role, as SQL writes it."""
    (row,) = database.execute("SELECT current_user::text AS name")
    return quoted(row["name"])
