"""pg_stat_statements: where it is, how it is read, and what keeps it from being read."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from opsnb.errors import BadAnswer
from opsnb.systems.database.access import SYSTEM, Connection
from opsnb.systems.database.sight import login
from opsnb.systems.database.words import quoted

NAME = "pg_stat_statements"
VISIBLE = "queryid IS NOT NULL"
"""The condition for statements whose text this login may see."""


@dataclass(frozen=True)
class Statistics:
    """The view in the schema that it was created in, and its columns of this version."""

    view: sql.Identifier
    version: str
    mean: sql.Identifier
    total: sql.Identifier


def statistics(database: Connection) -> Statistics:
    """Return how statistics of statements are read.

    Raises BadAnswer, with the statement that fixes it, when they cannot be.
    """
    row = database.execute(
        "SELECT n.nspname AS schema, e.extversion AS version,"
        " has_schema_privilege(n.oid, 'USAGE') AS usable, ARRAY(SELECT a.attname::text"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements') AS columns"
        " FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'pg_stat_statements'"
    ).fetchone()
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
        view=sql.Identifier(row["schema"], NAME),
        version=row["version"],
        mean=sql.Identifier(f"mean{middle}_time"),
        total=sql.Identifier(f"total{middle}_time"),
    )


def _lacking(database: Connection, *, created: bool) -> str:
    """Return why there are none and the statement that fixes it; empty when there are."""
    row = database.execute(
        # Its own settings are there only when it is loaded, and seen by everybody.
        "SELECT current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded,"
        # Without pg_read_all_settings the setting is not seen, and NULL.
        " (SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries') AS libraries,"
        " current_database()::text AS name,"
        # Since version 14.
        " current_setting('compute_query_id', true) = 'off' AS uncounted,"
        " current_setting('pg_stat_statements.track', true) = 'none' AS untracked"
    ).fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    here = f"in database {quoted(row['name'])}"
    create = "" if created else f"; then, {here}: CREATE EXTENSION {NAME};"
    if not row["loaded"]:
        others = row["libraries"] if row["libraries"] is not None else "(those that it has)"
        libraries = ", ".join(filter(None, [others, NAME]))
        return (
            f"{NAME} is {'created, but ' if created else ''}not loaded; as superuser: ALTER SYSTEM "
            f"SET shared_preload_libraries = {libraries}; and restart PostgreSQL{create}"
        )
    if not created:
        return f"{NAME} is not created {here}; as superuser, there: CREATE EXTENSION {NAME};"
    if row["uncounted"]:
        return (
            "compute_query_id is off; as superuser: ALTER SYSTEM SET compute_query_id = auto; "
            "SELECT pg_reload_conf();"
        )
    if row["untracked"]:
        return (
            f"{NAME}.track is none; as superuser: ALTER SYSTEM SET {NAME}.track = top; "
            "SELECT pg_reload_conf();"
        )
    return ""
