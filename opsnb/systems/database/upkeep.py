"""Statistics and dead rows: ANALYZE and VACUUM, table by table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from opsnb.errors import BadAnswer
from opsnb.guard import Permit, Plan, action
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.database import relations
from opsnb.systems.database.access import (
    LOCK_WAIT_S,
    SYSTEM,
    Connection,
    connection,
    demand_primary,
    identity,
    session,
)
from opsnb.systems.database.commands import run
from opsnb.systems.database.relations import OURS, Relation
from opsnb.systems.database.words import counted
from opsnb.target import Target

_MOST_SAMPLES = 20
_STAMPS_LATE_S = 3.0  # before version 15 the stamps come by way of a collector


@action(needs=(SYSTEM,), resumable=True)
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
        home = database.info.dbname
        meant = chosen = _tables(database, table)
        began = _clock(database)
        if former:
            meant = [each for each in meant if each.oid in former.terms["tables"]]
            began = datetime.fromisoformat(former.terms["began"])
            left = _unstamped(database, meant, began, vacuum=vacuum)
            # A partitioned table bears no stamp that would tell.
            chosen = [each for each in meant if each.oid in left or each.kind == "p"]
        sample = _state(database, chosen[:_MOST_SAMPLES])
        basis = (identity(database), table, [each.label for each in meant])
    verb = sql.SQL("VACUUM (ANALYZE)" if vacuum else "ANALYZE")

    def work(permit: Permit) -> Iterator[int]:
        with session(target, permit, lock_wait_s=lock_wait_s) as server:
            skipped = _Skipped(server)
            for done, each in enumerate(chosen):
                statement = sql.SQL("{} {}").format(verb, each.identifier)
                for _ in run(target, server, statement):
                    yield done
                skipped.demand_none()
                yield done + 1

    def verify() -> list[Finding]:
        return [_effect(target, meant, began, vacuum=vacuum)]

    words = "VACUUM ANALYZE" if vacuum else "ANALYZE"
    names = chosen[0].label if len(chosen) == 1 else counted(len(chosen), "table")
    return Plan(
        summary=f"{words} {names} of database {home}, one after another.",
        planned=len(chosen),
        unit="tables",
        command=f"{words} {table};" if table else f"{words};",
        undo="nothing to undo: rows stay as they are",
        work=work,
        verify=verify,
        sample=sample,
        bytes=_size(sample) if len(sample) == len(chosen) else None,
        basis=basis,
        warning="VACUUM reads whole tables and costs disk bandwidth." if vacuum else "",
        terms={"began": began.isoformat(), "tables": [each.oid for each in meant]},
    )


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
        "SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND {OURS}"
        " AND (pg_has_role(c.relowner, 'USAGE') OR EXISTS (SELECT FROM pg_database d"
        " WHERE d.datname = current_database() AND pg_has_role(d.datdba, 'USAGE')))"
        " ORDER BY c.relpages, 2, 3"
    ).fetchall()
    return [Relation(**row) for row in rows]


def _state(database: Connection, tables: list[Relation]) -> list[Row]:
    """Return what the statistics say of `tables`."""
    return database.execute(
        "SELECT c.oid::regclass::text AS table, s.n_live_tup AS rows, s.n_dead_tup AS dead_rows,"
        " s.n_mod_since_analyze AS changed_since_analyze,"
        " c.relpages::bigint * current_setting('block_size')::int / 1024 AS kib,"
        " to_char(greatest(s.last_analyze, s.last_autoanalyze), 'YYYY-MM-DD HH24:MI')"
        " AS analyzed,"
        " to_char(greatest(s.last_vacuum, s.last_autovacuum), 'YYYY-MM-DD HH24:MI') AS vacuumed"
        " FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid"
        " WHERE c.oid = ANY(%s::oid[]) ORDER BY c.relpages, 1",
        [[each.oid for each in tables]],
    ).fetchall()


def _size(rows: list[Row]) -> int:
    return sum(int(row["kib"]) for row in rows) * 1024


def _effect(target: Target, tables: list[Relation], began: datetime, *, vacuum: bool) -> Finding:
    """Return whether all `tables` bear stamps that are newer than `began`."""
    ends = time.monotonic() + _STAMPS_LATE_S
    while (old := _late(target, tables, began, vacuum=vacuum)) and time.monotonic() < ends:
        time.sleep(0.2)
    with connection(target) as database:
        rows = _state(database, tables[:_MOST_SAMPLES])
    done = "vacuumed and analyzed" if vacuum else "analyzed"
    if old:
        names = ", ".join(old[:5])
        message = f"{len(old):,} of {len(tables):,} tables were not {done}, among them {names}."
        return Finding(status=Status.CRIT, message=message, rows=rows)
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
    """Return which tables were not worked on since `began`; partitioned ones bear no stamps."""
    known: dict[str, Any] = {
        "oids": [each.oid for each in tables if each.kind != "p"],
        "began": began,
        "vacuum": vacuum,
    }
    rows = database.execute(
        "SELECT relid::bigint AS oid FROM pg_stat_user_tables WHERE relid = ANY(%(oids)s::oid[])"
        " AND (coalesce(last_analyze < %(began)s, true)"
        " OR (%(vacuum)s AND coalesce(last_vacuum < %(began)s, true)))",
        known,
    )
    return {row["oid"] for row in rows}
