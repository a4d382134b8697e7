"""pg_stat_statements: where it is, its columns, and why it may not be readable."""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.errors import BadAnswer
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.sight import login
from opsnb.systems.database.words import quoted

_NAME = "pg_stat_statements"


@dataclass(frozen=True)
class Statistics:
    """The schema that the view is in, and the names of its columns in this version."""

    schema: str
    version: str
    mean: str
    total: str


def statistics(database: Connection) -> Statistics:
    """Return where the statistics of statements are.

    Raises BadAnswer, with the command that fixes it, if they cannot be read.
    """
    found = queries.rows(database, "statement_statistics")
    row = found[0] if found else None
    lacking = _lacking(database, created=row is not None)
    if not lacking and row and not row["usable"]:
        schema = quoted(row["schema"])
        lacking = (
            f"login {login(database)} may not use its schema; as superuser: "
            f"GRANT USAGE ON SCHEMA {schema} TO {login(database)};"
        )
    if lacking or row is None:
        raise BadAnswer(SYSTEM, f"There are no statistics of statements: {lacking}")
    # An extension that was not updated with the server still has the old names.
    middle = "_exec" if "mean_exec_time" in row["columns"] else ""
    return Statistics(
        schema=row["schema"],
        version=row["version"],
        mean=f"mean{middle}_time",
        total=f"total{middle}_time",
    )


def _lacking(database: Connection, *, created: bool) -> str:
    """Return why there are none and the command that fixes it; empty if there are."""
    row = queries.row(database, "statement_settings")
    here = f"in database {quoted(row['name'])}"
    create = "" if created else f"; then, {here}: CREATE EXTENSION {_NAME};"
    if not row["loaded"]:
        others = row["libraries"] if row["libraries"] is not None else "(the present ones)"
        libraries = ", ".join(filter(None, [others, _NAME]))
        return (
            f"{_NAME} is {'created, but ' if created else ''}not loaded; as superuser: ALTER "
            f"SYSTEM SET shared_preload_libraries = {libraries}; and restart PostgreSQL{create}"
        )
    if not created:
        return f"{_NAME} is not created {here}; as superuser, there: CREATE EXTENSION {_NAME};"
    if row["uncounted"]:
        return (
            "compute_query_id is off; as superuser: ALTER SYSTEM SET compute_query_id = auto; "
            "SELECT pg_reload_conf();"
        )
    if row["untracked"]:
        return (
            f"{_NAME}.track is none; as superuser: ALTER SYSTEM SET {_NAME}.track = top; "
            "SELECT pg_reload_conf();"
        )
    return ""
