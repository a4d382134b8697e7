"""Comparing a restored database with the backup that it was restored from."""

from __future__ import annotations

import psycopg
from psycopg import sql

from opsnb.checks import evidence
from opsnb.errors import BadAnswer
from opsnb.model import Row
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.contents import LARGE_OBJECTS, Contents, Rows
from opsnb.systems.database.failures import SYSTEM, reason

COUNT_S = 3600.0
"""The time limit for counting one table."""


def counts(database: Connection, held: Rows | None = None, before: Rows | None = None) -> Rows:
    """Count the rows of all tables, one after another.

    Rows of a partitioned table count as its own where `held` has them so. A table that this login
    may not count is left out and reported: as a gap in the evidence where `held` is to be compared.
    Where a policy hides rows from the login, the count from `before` is used.
    """
    report = evidence.without if held is None else evidence.partial
    held, before = held or {}, before or {}
    # With it, PostgreSQL refuses the count instead of leaving out rows that a policy hides.
    database.execute("SELECT set_config('row_security', 'off', true)")
    counted: Rows = {}
    for table in queries.rows(database, "tables"):
        key, is_root = (table["schema"], table["name"]), table["kind"] == "p"
        if table["kind"] == "f" or (is_root and key not in held):
            continue
        count, why = _count(database, key, is_root=is_root)
        if why and key in before:
            count = before[key]
        elif why:
            report(f"the rows of {'.'.join(key)} in {database.info.dbname}, because {why}")
            continue
        if is_root:
            tree = queries.rows(database, "partition_tree", relation=table["oid"])
            leaves = ((each["schema"], each["name"]) for each in tree if each["is_leaf"])
            count -= sum(held.get(leaf, 0) for leaf in leaves)
        counted[key] = count
    if LARGE_OBJECTS in held:
        counted[LARGE_OBJECTS], _ = _count(database, LARGE_OBJECTS)
    return counted


def _count(
    database: Connection, table: tuple[str, str], *, is_root: bool = False
) -> tuple[int, str]:
    """Return how many rows a table has, or why this login cannot count them."""
    statement = "SELECT count(*) AS n FROM {}" if is_root else "SELECT count(*) AS n FROM ONLY {}"
    try:
        with database.transaction():
            (row,) = database.execute(sql.SQL(statement).format(sql.Identifier(*table)))
    except psycopg.errors.InsufficientPrivilege as error:
        return 0, reason(error)
    return int(row["n"]), ""


def missing_tables(database: Connection, contents: Contents) -> list[str]:
    """Return the tables of a dump that a database does not have."""
    there = {(row["schema"], row["name"]) for row in queries.rows(database, "tables")}
    return sorted(".".join(key) for key in contents.tables - there)


def demand_equal(contents: Contents, restored: Rows, missing: list[str]) -> None:
    """Raise BadAnswer if a table was not restored with all the rows of the dump."""
    if missing:
        message = f"The restored database lacks a table of the backup: {', '.join(missing[:8])}."
        raise BadAnswer(SYSTEM, message)
    wrong = [key for key, count in contents.rows.items() if restored.get(key) != count]
    if wrong:
        schema, name = wrong[0]
        raise BadAnswer(
            SYSTEM,
            f"The restored database differs from the backup: {schema}.{name} has "
            f"{restored.get(wrong[0], 'no')} rows instead of {contents.rows[wrong[0]]}.",
        )


def side_by_side(held: Rows, **others: Rows) -> list[Row]:
    """Return a row for each table, with its rows in the backup and in the `others`."""
    return [
        {
            "table": "large objects" if key == LARGE_OBJECTS else ".".join(key),
            "in_the_backup": held.get(key),
            **{name: rows.get(key) for name, rows in others.items()},
        }
        for key in sorted({*held, *(key for rows in others.values() for key in rows)})
    ]
