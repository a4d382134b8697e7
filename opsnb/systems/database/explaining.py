"""What the database works on now, and the indexes that it would be quicker with."""

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
from opsnb.systems.database.access import MARKED, SYSTEM, Connection, connection, reason
from opsnb.systems.database.sight import login, note_hidden_statements
from opsnb.systems.database.statement_stats import statistics
from opsnb.systems.database.words import quoted

_BIG_ROWS = 10_000  # a table that is smaller is read whole anyway
_MOST_COLUMNS = 3
GENERIC_PLANS = 160000  # the server's version that explains a statement without its values
_JUDGED = r"^[\s(]*(select|insert|update|delete|merge|with)"
_NAME = r'(?:[a-z_]\w*|"(?:[^"]|"")+")'  # a plan quotes names that are not in lower case
_COMPARED = re.compile(
    rf"\((?:\((?:{_NAME}\.)*)?(?:{_NAME}\.)*(?P<column>{_NAME})\)?(?:::[\w ]+)?"
    r" (?P<how>=|<=|>=|<|>) "
)


@dataclass(frozen=True)
class Statement:
    """A statement that ended while the database was watched."""

    text: str
    """With `$1` in place of values."""
    calls: int
    mean_ms: float
    percent: float
    """Of all the time that statements took."""

    def row(self) -> Row:
        """Return what is shown of it."""
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
    """How many the table has, as the planner believes."""
    statement: Statement

    @property
    def command(self) -> str:
        """The statement that makes it."""
        return f"CREATE INDEX CONCURRENTLY ON {self.table} ({', '.join(map(quoted, self.columns))})"


def busiest(target: Target, seconds: float) -> list[Statement]:
    """Return the statements that ended within so many seconds, the slowest first.

    Raises BadAnswer when the server keeps no statistics of statements.
    """
    before = _counted(target)
    time.sleep(seconds)
    after = _counted(target, before)
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
    """What the statements of the target's database have taken so far."""

    seen: dict[int, tuple[str, int, float]]
    """Text, calls and ms by the statement's number."""
    hidden_calls: int
    """Of statements whose text this login may not see."""


def _counted(target: Target, before: _Counted | None = None) -> _Counted:
    with connection(target) as database:
        known = statistics(database)
        here = "dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        rows = database.execute(
            sql.SQL(
                "SELECT queryid, min(query) AS text, sum(calls)::bigint AS calls,"
                " sum({})::float AS ms FROM {} WHERE query ~* %s AND query NOT LIKE %s"
                f" AND queryid IS NOT NULL AND {here} GROUP BY 1"
            ).format(known.total, known.view),
            [_JUDGED, MARKED],
        ).fetchall()
        hidden = database.execute(
            sql.SQL(
                "SELECT count(*)::int AS n, coalesce(sum(calls), 0)::bigint AS calls"
                f" FROM {{}} WHERE queryid IS NULL AND {here}"
            ).format(known.view)
        ).fetchone()
        assert hidden is not None  # an aggregate returns one row
        if before and hidden["calls"] > before.hidden_calls:
            note_hidden_statements(database, hidden["n"])
    seen = {row["queryid"]: (row["text"], row["calls"], row["ms"]) for row in rows}
    return _Counted(seen, hidden["calls"])


def missing_for(target: Target, statements: list[Statement]) -> list[Advice]:
    """Return the indexes that would spare `statements` the reading of whole tables.

    By their plans, which are made without running them. Raises BadAnswer before PostgreSQL 16.
    """
    with connection(target) as database:
        if database.info.server_version < GENERIC_PLANS:
            raise BadAnswer(
                SYSTEM,
                "Before version 16, PostgreSQL explains no statement without its values: take it "
                "from the log, and EXPLAIN it by hand.",
            )
        return [
            advice
            for statement in statements
            for scan in _scans(database, statement)
            if (advice := _advice(database, statement, scan))
        ]


def _scans(database: Connection, statement: Statement) -> Iterator[dict[str, Any]]:
    """Yield the plan's nodes that read a whole table and keep a part of it."""
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
            f"the plan of a slow statement, which login {login(database)} could not have "
            f"explained: {reason(error)}"
        )
        return
    nodes = [row["QUERY PLAN"][0]["Plan"]] if row else []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"].endswith("Seq Scan") and "Filter" in node:
            yield node


def _advice(database: Connection, statement: Statement, scan: dict[str, Any]) -> Advice | None:
    """Return the index that would serve this scan; None when there is none to make."""
    compared = [(_bare(m["column"]), m["how"]) for m in _COMPARED.finditer(scan["Filter"])]
    exact = [name for name, how in compared if how == "="]
    ranges = [name for name, how in compared if how != "="]
    wanted = list(dict.fromkeys([*exact, *ranges[:1]]))[:_MOST_COLUMNS]
    row = database.execute(
        "SELECT c.reltuples::bigint AS rows,"
        " ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0"
        " AND NOT attisdropped) AS columns,"
        " ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a"
        " ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
        " WHERE i.indrelid = c.oid AND i.indisvalid) AS leading"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        [scan["Schema"], scan["Relation Name"]],
    ).fetchone()
    if row is None or row["rows"] < _BIG_ROWS:
        return None
    columns = tuple(name for name in wanted if name in row["columns"])
    if not columns or columns[0] in row["leading"]:
        return None  # the planner has one, and chose not to take it
    return Advice(quoted(scan["Schema"], scan["Relation Name"]), columns, row["rows"], statement)


def _bare(name: str) -> str:
    """Return a name of a plan as the catalogue has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
