"""ANALYZE and VACUUM, table by table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import psycopg
from psycopg import sql

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.machine.waiting import attempts
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.database import queries, relations
from opsnb.systems.database.commands import run
from opsnb.systems.database.connecting import LOCK_WAIT_S, bound, connection, session, writing
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.pooler import demand_session
from opsnb.systems.database.relations import Relation
from opsnb.systems.database.server import demand_primary, identity, name_of
from opsnb.systems.database.sight import COUNT_AGAIN, counts
from opsnb.systems.database.words import quoted
from opsnb.view.formats import counted

_MOST_SAMPLES = 20
_STAMPS_LATE_S = 3.0  # before version 15, a collector delivers the time stamps later


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

    One table or, if `table` is empty, all tables of the database that this login may analyze. With
    `vacuum`, dead rows are removed first. Raises UsageError if there is no such table.
    """
    with connection(target) as database:
        demand_primary(database)
        home = name_of(database)
        intended, others = _tables(database, table)
        chosen = intended
        began = _clock(database)
        if former:
            intended = [each for each in intended if each.oid in former.terms["tables"]]
            began = datetime.fromisoformat(former.terms["began"])
            left = _not_analyzed(database, intended, began, vacuum=vacuum)
            # A partitioned table has no time stamp of its own.
            chosen = [each for each in intended if each.oid in left or each.kind == "p"]
        sample = _state(database, chosen[:_MOST_SAMPLES])
        basis = (identity(database), table, [each.label for each in intended])
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
        return [_effect(target, intended, began, vacuum=vacuum)] if intended else []

    words = "VACUUM ANALYZE" if vacuum else "ANALYZE"
    names = chosen[0].label if len(chosen) == 1 else counted(len(chosen), "table")
    warnings = ["VACUUM reads whole tables and uses disk bandwidth."] if vacuum else []
    if others:
        warnings.append(f"{counted(others, 'table')} of other owners are skipped.")
    return Plan(
        summary=f"{words} {names} of database {quoted(home)}, one after another.",
        planned=len(chosen),
        unit="tables",
        command=f"{words} {intended[0].written};" if table and intended else f"{words};",
        undo="nothing to undo: no row changes",
        work=work,
        verify=verify,
        sample=sample,
        bytes=_size(sample) if len(sample) == len(chosen) else None,
        basis=basis,
        warning=" ".join(warnings),
        terms={"began": began.isoformat(), "tables": [each.oid for each in intended]},
    )


def _vacuumed(
    target: Target, server: Connection, table: Relation, lock_wait_s: float
) -> Iterator[None]:
    """Vacuum in a session of its own, which limits its wait for a lock."""
    del lock_wait_s  # the session has it as a setting
    yield from run(target, server, sql.SQL("VACUUM (ANALYZE) {}").format(table.identifier))


def _analyzed(
    target: Target, server: Connection, table: Relation, lock_wait_s: float
) -> Iterator[None]:
    """Analyze in a transaction, so that no setting stays behind in a pooler's session."""
    with server.transaction():
        bound(server, limit_s=0, lock_wait_s=lock_wait_s)
        yield from run(target, server, sql.SQL("ANALYZE {}").format(table.identifier))


class _Skipped:
    """The server's warnings: for a table that a login may not analyze, ANALYZE only warns."""

    def __init__(self, database: Connection) -> None:
        self._warnings: list[str] = []
        database.add_notice_handler(self._note)

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")

    def demand_none(self) -> None:
        if self._warnings:
            last = self._warnings[-1]
            raise BadAnswer(SYSTEM, f"PostgreSQL refused: {last}; use the owner's login.")


def _clock(database: Connection) -> datetime:
    (row,) = database.execute("SELECT clock_timestamp() AS now")
    now: datetime = row["now"]
    return now


def _tables(database: Connection, name: str) -> tuple[list[Relation], int]:
    """Return the table `name`, or all that this login may analyze, and how many others there are.

    The smallest come first.
    """
    if name:
        return [relations.table(database, name)], 0
    rows = queries.rows(database, "tables_to_analyze")
    allowed = [row for row in rows if row.pop("allowed")]
    return [Relation(**row) for row in allowed], len(rows) - len(allowed)


def _state(database: Connection, tables: list[Relation]) -> list[Row]:
    """Return what the statistics say of `tables`; of a partitioned one, of its partitions."""
    return queries.rows(database, "table_statistics", **_by_kind(tables))


def _by_kind(tables: list[Relation]) -> dict[str, list[int]]:
    return {
        "oids": [each.oid for each in tables if each.kind != "p"],
        "partitioned": [each.oid for each in tables if each.kind == "p"],
    }


def _size(rows: list[Row]) -> int:
    return sum(int(row["kib"] or 0) for row in rows) * 1024


def _effect(target: Target, tables: list[Relation], began: datetime, *, vacuum: bool) -> Finding:
    """Return whether all `tables` have time stamps newer than `began`."""
    for _ in attempts(_STAMPS_LATE_S, 0.2):
        # Each time in a new transaction: within one, the statistics may stay the same.
        with connection(target) as database:
            left = _not_analyzed(database, tables, began, vacuum=vacuum)
        if not left:
            break
    old = sorted(each.label for each in tables if each.oid in left)
    with connection(target) as database:
        rows = _state(database, tables[:_MOST_SAMPLES])
        stamps = counts(database)
    done = "vacuumed and analyzed" if vacuum else "analyzed"
    if old and not stamps:
        message = f"It is unknown whether they were {done}: track_counts is off; {COUNT_AGAIN}"
        return Finding(status=Status.UNKNOWN, message=message, rows=rows)
    if old:
        names = ", ".join(old[:5])
        message = f"{len(old):,} of {len(tables):,} tables were not {done}, among them {names}."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    if not any(row["analyzed"] for row in rows):
        message = (
            "It is unknown whether they were analyzed: a partitioned table without partitions has "
            "no time stamp."
        )
        return Finding(status=Status.UNKNOWN, message=message, rows=rows)
    message = (
        f"{counted(len(tables), 'table')} {done} since the plan, by the server's own time stamps."
    )
    return Finding(status=Status.OK, message=message, rows=rows)


def _not_analyzed(
    database: Connection, tables: list[Relation], began: datetime, *, vacuum: bool
) -> set[int]:
    """Return the tables that were not analyzed since `began`, they or one of their partitions.

    A partition that another login owns is skipped, so its parent table counts as not analyzed.
    """
    rows = queries.rows(
        database, "tables_not_analyzed", **_by_kind(tables), began=began, vacuum=vacuum
    )
    return {row["oid"] for row in rows}
