"""Statistics and dead rows: ANALYZE and VACUUM, table by table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.database import relations
from opsnb.systems.database.access import (
    LOCK_WAIT_S,
    SYSTEM,
    Connection,
    bound,
    connection,
    demand_primary,
    demand_session,
    identity,
    name_of,
    session,
    writing,
)
from opsnb.systems.database.commands import run
from opsnb.systems.database.relations import OURS, Relation, may_maintain
from opsnb.systems.database.sight import COUNT_AGAIN, LOCKED, counts
from opsnb.systems.database.words import quoted
from opsnb.view.formats import counted

_MOST_SAMPLES = 20
_STAMPS_LATE_S = 3.0  # before version 15 the stamps come by way of a collector


@action(needs=(SYSTEM,))
def analyze(
    target: Target,
    former: ActionRecord | None,
    table: str = "",
    *,
    vacuum: bool = False,
    lock_wait_s: float = LOCK_WAIT_S,
) -> Plan:
    """Analyze tables.

    One table, or all of the database that this login may analyze when `table` is empty; with
    `vacuum` dead rows are cleared away first. Raises UsageError when there is no such table.
    """
    with connection(target) as database:
        demand_primary(target, database)
        home = name_of(database)
        meant = chosen = _tables(database, table)
        others = 0 if table else _others(database)
        began = _clock(database)
        if former:
            meant = [each for each in meant if each.oid in former.terms["tables"]]
            began = datetime.fromisoformat(former.terms["began"])
            left = _unstamped(database, meant, began, vacuum=vacuum)
            # A partitioned table bears no stamp of its own that would tell.
            chosen = [each for each in meant if each.oid in left or each.kind == "p"]
        sample = _state(database, chosen[:_MOST_SAMPLES])
        basis = (identity(database), table, [each.label for each in meant])
    if vacuum:
        demand_session(target, "VACUUM")

    def work(permit: Permit) -> Iterator[int]:
        opened = (
            session(target, permit, lock_wait_s=lock_wait_s) if vacuum else writing(target, permit)
        )
        with opened as server:
            skipped = _Skipped(server)
            for done, each in enumerate(chosen):
                steps = _vacuumed if vacuum else _analyzed
                for _ in steps(target, server, each, lock_wait_s):
                    yield done
                skipped.demand_none()
                yield done + 1

    def verify() -> list[Finding]:
        return [_effect(target, meant, began, vacuum=vacuum)] if meant else []

    words = "VACUUM ANALYZE" if vacuum else "ANALYZE"
    names = chosen[0].label if len(chosen) == 1 else counted(len(chosen), "table")
    warnings = ["VACUUM reads whole tables and costs disk bandwidth."] if vacuum else []
    if others:
        warnings.append(f"{counted(others, 'table')} of other owners are left out.")
    return Plan(
        summary=f"{words} {names} of database {quoted(home)}, one after another.",
        planned=len(chosen),
        unit="tables",
        command=f"{words} {meant[0].written};" if table and meant else f"{words};",
        undo="nothing to undo: rows stay as they are",
        work=work,
        verify=verify,
        sample=sample,
        bytes=_size(sample) if len(sample) == len(chosen) else None,
        basis=basis,
        warning=" ".join(warnings),
        terms={"began": began.isoformat(), "tables": [each.oid for each in meant]},
    )


def _vacuumed(
    target: Target, server: Connection, table: Relation, lock_wait_s: float
) -> Iterator[None]:
    """Vacuum in a session of its own, which waits for no lock longer than it was told."""
    del lock_wait_s  # the session's own setting
    yield from run(target, server, sql.SQL("VACUUM (ANALYZE) {}").format(table.identifier))


def _analyzed(
    target: Target, server: Connection, table: Relation, lock_wait_s: float
) -> Iterator[None]:
    """Analyze in a transaction, which leaves no setting behind in a pooler's session."""
    with server.transaction():
        bound(server, limit_s=0, lock_wait_s=lock_wait_s)
        yield from run(target, server, sql.SQL("ANALYZE {}").format(table.identifier))


class _Skipped:
    """What the server says that it skipped: ANALYZE of a table one may not analyze is no error."""

    def __init__(self, database: Connection) -> None:
        self._told: list[str] = []
        database.add_notice_handler(self._note)

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._told.append(notice.message_primary or "")

    def demand_none(self) -> None:
        if self._told:
            said = self._told[-1]
            raise BadAnswer(SYSTEM, f"PostgreSQL did not do it: {said}; use the owner's login.")


def _clock(database: Connection) -> datetime:
    row = database.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    now: datetime = row["now"]
    return now


def _tables(database: Connection, name: str) -> list[Relation]:
    """Return the table `name`, or all that this login may analyze, the smallest first."""
    if name:
        return [relations.table(database, name)]
    rows = database.execute(
        "SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,"
        " pg_table_is_visible(c.oid) AS visible"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE {_TABLES} AND {_may_analyze(database)} ORDER BY c.relpages, 2, 3"
    ).fetchall()
    return [Relation(**row) for row in rows]


_TABLES: LiteralString = f"c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND {OURS}"


def _may_analyze(database: Connection) -> LiteralString:
    return (
        f"({may_maintain(database)} OR EXISTS (SELECT FROM pg_database d"
        " WHERE d.datname = current_database() AND pg_has_role(d.datdba, 'USAGE')))"
    )


def _others(database: Connection) -> int:
    """Return how many tables this login may not analyze."""
    row = database.execute(
        "SELECT count(*)::int AS n FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE {_TABLES} AND NOT {_may_analyze(database)}"
    ).fetchone()
    return int(row["n"]) if row else 0


def _state(database: Connection, tables: list[Relation]) -> list[Row]:
    """Return what the statistics say of `tables`; of a partitioned one, of its partitions."""
    return database.execute(
        f"WITH RECURSIVE {_LEAVES}, {LOCKED}, states AS (SELECT meant.oid,"
        " sum(CASE WHEN c.reltuples > 0 THEN c.reltuples"
        " ELSE pg_stat_get_live_tuples(c.oid) END)::bigint AS rows,"
        " sum(pg_stat_get_dead_tuples(c.oid))::bigint AS dead_rows,"
        " sum(pg_stat_get_mod_since_analyze(c.oid))::bigint AS changed_since_analyze,"
        # Rows that no vacuum or analyze has seen yet are not in relpages.
        " sum(greatest(c.relpages, CASE WHEN c.oid <> meant.oid"
        # Measuring would wait for whoever holds the table.
        " AND c.oid NOT IN (SELECT relation FROM locked) THEN pg_relation_size(c.oid)"
        " / current_setting('block_size')::int END))::bigint AS pages,"
        " min(greatest(pg_stat_get_last_analyze_time(c.oid),"
        " pg_stat_get_last_autoanalyze_time(c.oid))) AS analyzed,"
        " min(greatest(pg_stat_get_last_vacuum_time(c.oid),"
        " pg_stat_get_last_autovacuum_time(c.oid))) AS vacuumed"
        " FROM meant JOIN pg_class c ON c.oid = meant.leaf AND c.relkind IN ('r', 'm')"
        " GROUP BY meant.oid)"
        " SELECT t.oid::regclass::text AS table, s.rows, s.dead_rows, s.changed_since_analyze,"
        " s.pages * current_setting('block_size')::int / 1024 AS kib,"
        " to_char(s.analyzed, 'YYYY-MM-DD HH24:MI') AS analyzed,"
        " to_char(s.vacuumed, 'YYYY-MM-DD HH24:MI') AS vacuumed"
        " FROM unnest(%(oids)s::oid[] || %(partitioned)s::oid[]) AS t(oid)"
        " LEFT JOIN states s USING (oid) ORDER BY s.pages NULLS FIRST, 1",
        _by_kind(tables),
    ).fetchall()


_LEAVES: LiteralString = (
    # Not pg_partition_tree, which would wait for whoever holds a partition.
    "tree(oid, leaf) AS (SELECT p, p FROM unnest(%(partitioned)s::oid[]) AS p"
    " UNION ALL SELECT t.oid, h.inhrelid FROM tree t JOIN pg_inherits h ON h.inhparent = t.leaf),"
    " meant AS MATERIALIZED (SELECT oid, oid AS leaf FROM unnest(%(oids)s::oid[]) AS oid"
    " UNION ALL SELECT t.oid, t.leaf FROM tree t JOIN pg_class k ON k.oid = t.leaf"
    " WHERE k.relkind <> 'p')"
)
"""Each table that is meant, with itself or, when it is partitioned, each of its partitions."""


def _by_kind(tables: list[Relation]) -> dict[str, Any]:
    return {
        "oids": [each.oid for each in tables if each.kind != "p"],
        "partitioned": [each.oid for each in tables if each.kind == "p"],
    }


def _size(rows: list[Row]) -> int:
    return sum(int(row["kib"] or 0) for row in rows) * 1024


def _effect(target: Target, tables: list[Relation], began: datetime, *, vacuum: bool) -> Finding:
    """Return whether all `tables` bear stamps that are newer than `began`."""
    ends = time.monotonic() + _STAMPS_LATE_S
    while (old := _late(target, tables, began, vacuum=vacuum)) and time.monotonic() < ends:
        time.sleep(0.2)
    with connection(target) as database:
        rows = _state(database, tables[:_MOST_SAMPLES])
        stamps = counts(database)
    done = "vacuumed and analyzed" if vacuum else "analyzed"
    if old and not stamps:
        message = f"Whether they were {done} is not known: track_counts is off; {COUNT_AGAIN}"
        return Finding(status=Status.UNKNOWN, message=message, rows=rows)
    if old:
        names = ", ".join(old[:5])
        message = f"{len(old):,} of {len(tables):,} tables were not {done}, among them {names}."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    if not any(row["analyzed"] for row in rows):
        message = (
            "Whether they were analyzed is not known: a table without partitions has no stamp."
        )
        return Finding(status=Status.UNKNOWN, message=message, rows=rows)
    message = f"The server's own stamps say: {counted(len(tables), 'table')} {done} since the plan."
    return Finding(status=Status.OK, message=message, rows=rows)


def _late(target: Target, tables: list[Relation], began: datetime, *, vacuum: bool) -> list[str]:
    """Return the names of the tables that were not worked on since `began`."""
    with connection(target) as database:
        left = _unstamped(database, tables, began, vacuum=vacuum)
    return sorted(each.label for each in tables if each.oid in left)


def _unstamped(
    database: Connection, tables: list[Relation], began: datetime, *, vacuum: bool
) -> set[int]:
    """Return which tables were not worked on since `began`: themselves or one of their partitions.

    A partition that another login owns is not worked on, and so is the table that it is of.
    """
    rows = database.execute(
        f"WITH RECURSIVE {_LEAVES} SELECT DISTINCT meant.oid::bigint AS oid"
        " FROM meant JOIN pg_class c ON c.oid = meant.leaf AND c.relkind IN ('r', 'm')"
        " WHERE coalesce(pg_stat_get_last_analyze_time(c.oid) < %(began)s, true)"
        " OR (%(vacuum)s AND coalesce(pg_stat_get_last_vacuum_time(c.oid) < %(began)s, true))",
        {**_by_kind(tables), "began": began, "vacuum": vacuum},
    )
    return {row["oid"] for row in rows}
