"""The statements that take the database's time now, and the indexes that they lack."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Row
from opsnb.redaction import outside
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import MARKED, Connection
from opsnb.systems.database.failures import SYSTEM, reason
from opsnb.systems.database.sight import login, note_hidden_statements
from opsnb.systems.database.statement_stats import statistics
from opsnb.systems.database.words import quoted

BIG_ROWS = 10_000  # PostgreSQL reads a smaller table completely anyway
_MOST_COLUMNS = 3
GENERIC_PLANS = 160000  # the first version that explains a statement without its values
_NAME = r'(?:[a-z_]\w*|"(?:[^"]|"")+")'  # a plan quotes names that are not in lower case
_COMPARED = re.compile(
    rf"\((?:\((?:{_NAME}\.)*)?(?:{_NAME}\.)*(?P<column>{_NAME})\)?(?:::[\w ]+)?"
    r" (?P<how>=|<=|>=|<|>) "
)


@dataclass(frozen=True)
class Statement:
    """A statement that ended while it was being sampled."""

    text: str
    """With `$1` in place of values."""
    calls: int
    mean_ms: float
    percent: float
    """Share of the time of all statements."""

    def row(self) -> Row:
        """Return a row for people to read."""
        return {
            "statement": outside.one_line(self.text, 160, ""),
            "calls": self.calls,
            "mean_ms": round(self.mean_ms, 1),
            "time_percent": round(self.percent, 1),
        }


@dataclass(frozen=True)
class Advice:
    """An index that a statement lacks."""

    table: str
    """With its schema, as SQL writes it."""
    columns: tuple[str, ...]
    rows: int
    """The table's rows, as the planner estimates them."""
    statement: Statement

    @property
    def command(self) -> str:
        """The statement that creates it."""
        return f"CREATE INDEX CONCURRENTLY ON {self.table} ({', '.join(map(quoted, self.columns))})"


def busiest(target: Target, seconds: float) -> list[Statement]:
    """Return the statements that ended within the next `seconds`, the slowest first.

    Raises BadAnswer if the server keeps no statistics of statements.
    """
    with connection(target) as database:
        before = _counted(database)
    time.sleep(seconds)
    with connection(target) as database:
        after = _counted(database)
        if after.hidden_calls > before.hidden_calls:
            note_hidden_statements(database, after.hidden)
    grown = [
        (
            text,
            calls - before.seen.get(key, (text, 0, 0.0))[1],
            ms - before.seen.get(key, (text, 0, 0.0))[2],
        )
        for key, (text, calls, ms) in after.seen.items()
    ]
    ended = [(text, calls, ms) for text, calls, ms in grown if calls > 0]
    total = sum(ms for _, _, ms in ended) or 1.0
    found = [Statement(text, calls, ms / calls, 100 * ms / total) for text, calls, ms in ended]
    return sorted(found, key=lambda each: -each.mean_ms)


@dataclass(frozen=True)
class _Counted:
    """Calls and time of the database's statements since the statistics were reset."""

    seen: dict[int, tuple[str, int, float]]
    """Text, calls and ms by the statement's query id."""
    hidden: int
    """Statements whose text this login may not see."""
    hidden_calls: int


def _counted(database: Connection) -> _Counted:
    known = statistics(database)
    rows = queries.rows(
        database, "statement_times", schema=known.schema, total=known.total, ours=MARKED
    )
    hidden = queries.row(database, "hidden_statements", schema=known.schema)
    seen = {row["queryid"]: (row["text"], row["calls"], row["ms"]) for row in rows}
    return _Counted(seen, hidden["n"], hidden["calls"])


def missing_for(target: Target, statements: list[Statement]) -> list[Advice]:
    """Return the indexes with which `statements` would not have to read whole tables.

    By their plans; the statements are not run. Raises BadAnswer before PostgreSQL 16.
    """
    with connection(target) as database:
        if database.info.server_version < GENERIC_PLANS:
            raise BadAnswer(
                SYSTEM,
                "Before version 16, PostgreSQL explains no statement without its values: copy it "
                "from the log, and EXPLAIN it by hand.",
            )
        return [
            advice
            for statement in statements
            for scan in _scans(database, statement)
            if (advice := _advice(database, statement, scan))
        ]


def _scans(database: Connection, statement: Statement) -> Iterator[dict[str, Any]]:
    """Yield the plan's nodes that read a whole table and keep only some rows."""
    text = sql.SQL(statement.text)
    try:
        with database.transaction():
            row = database.execute(
                sql.SQL("EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) ") + text
            ).fetchone()
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        evidence.partial(
            f"the plan of a slow statement, which login {login(database)} could not get: "
            f"{reason(error)}"
        )
        return
    nodes = [row["QUERY PLAN"][0]["Plan"]] if row else []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"].endswith("Seq Scan") and "Filter" in node:
            yield node


def _advice(database: Connection, statement: Statement, scan: dict[str, Any]) -> Advice | None:
    """Return the index that this scan lacks; None if there is nothing to create."""
    compared = [(_bare(m["column"]), m["how"]) for m in _COMPARED.finditer(scan["Filter"])]
    exact = [name for name, how in compared if how == "="]
    ranges = [name for name, how in compared if how != "="]
    wanted = list(dict.fromkeys([*exact, *ranges[:1]]))[:_MOST_COLUMNS]
    found = queries.rows(
        database, "scanned_table", schema=scan["Schema"], table=scan["Relation Name"]
    )
    if not found or found[0]["rows"] < BIG_ROWS:
        return None
    row = found[0]
    columns = tuple(name for name in wanted if name in row["columns"])
    if not columns or columns[0] in row["leading"]:
        return None  # there is one, and the planner chose not to use it
    return Advice(quoted(scan["Schema"], scan["Relation Name"]), columns, row["rows"], statement)


def _bare(name: str) -> str:
    """Return a name in a plan as it is in the catalogue."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
