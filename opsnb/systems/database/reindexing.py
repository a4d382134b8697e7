"""Rebuilding indexes, without a lock on the table, and dropping what failed rebuilds left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import psycopg
from psycopg import sql

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.errors import ServiceError
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.params import ReindexKind
from opsnb.systems.database.commands import run
from opsnb.systems.database.connecting import LOCK_WAIT_S, connection, session
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM, reason
from opsnb.systems.database.index_validity import drop_commands
from opsnb.systems.database.indexes import PLAN_S, Index, duplicates_query, read_indexes
from opsnb.systems.database.pooler import demand_session
from opsnb.systems.database.reindexable import (
    allowed_indexes,
    chosen_indexes,
    demand_nobody_builds,
    demand_room,
    without_exclusions,
)
from opsnb.systems.database.server import demand_primary, identity, name_of
from opsnb.systems.database.words import quoted
from opsnb.systems.host.settings import HostSettings
from opsnb.view.formats import MIB, counted

_MOST_SAMPLES = 20
_MOST_NAMED = 5


@action(needs=(SYSTEM,))
def reindex(  # noqa: PLR0913 - the parameters of its runbook
    target: Target,
    former: ActionRecord | None,
    name: str = "",
    *,
    kind: ReindexKind = "index",
    concurrently: bool = True,
    lock_wait_s: float = LOCK_WAIT_S,
) -> Plan:
    """Rebuild indexes.

    One index, those of a table, or all of the users' own in the database, one after another;
    without a name, the invalid ones. What failed attempts left on the same tables is dropped.
    Raises UsageError if there is no index of that name, Refused if the disk has no room or a pooler
    is in between, BadAnswer if another session is building there, or the table has another owner.
    """
    with connection(target, limit_s=PLAN_S) as database:
        demand_primary(database)
        home = name_of(database)
        chosen, written = chosen_indexes(database, kind, name)
        chosen, others = allowed_indexes(database, chosen, named=bool(name) and kind != "database")
        if former:
            files = former.terms["files"]
            chosen = [each for each in chosen if each.leftover or each.label in files]
        tables = {each.table_oid for each in chosen}
        leftovers = [each for each in read_indexes(database, "tables", tables) if each.leftover]
        droppable = [each for each in leftovers if each.reachable]
        rebuilt = [each for each in chosen if not each.leftover]
        excluded = len(rebuilt)
        if concurrently:
            rebuilt = without_exclusions(rebuilt, named=bool(name) and kind == "index")
        excluded -= len(rebuilt)
        intended = rebuilt
        if former:
            intended = [replace(each, file=files[each.label]) for each in rebuilt]
            # An index that still has its former file was not rebuilt yet.
            rebuilt = [each for each in rebuilt if each in intended or not each.valid]
        demand_nobody_builds(database, tables)
        room = demand_room(database, HostSettings.of(target).address, rebuilt)
        basis = (identity(database), [(i.label, i.valid, i.leftover) for i in rebuilt + droppable])
    if rebuilt or droppable:
        demand_session(target, "REINDEX CONCURRENTLY" if concurrently else "REINDEX")
    refused: dict[str, str] = {}

    def work(permit: Permit) -> Iterator[int]:
        done = 0
        with session(target, permit, lock_wait_s=lock_wait_s) as server:
            for statement, each in _statements(droppable, rebuilt, concurrently=concurrently):
                try:
                    with _nothing_left(target, server, permit, each, lock_wait_s):
                        for _ in run(target, server, statement):
                            yield done
                    done += 1
                except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation) as error:
                    # This index needs its rows corrected first; the others can be rebuilt.
                    refused[each.label] = error.diag.message_detail or reason(error)
                yield done

    def verify() -> list[Finding]:
        return [_effect(target, intended, leftovers, refused)] if intended or leftovers else []

    left_out = [
        f"{counted(excluded, 'index', 'indexes')} of exclusion constraints cannot be rebuilt "
        "concurrently and are skipped."
        if excluded
        else "",
        f"{counted(others, 'index', 'indexes')} of other owners are skipped." if others else "",
        "Not concurrently: nobody can write to the table until it is done, and reads mostly wait."
        if not concurrently
        else "",
    ]
    locked = [each for each in leftovers if not each.reachable]
    if locked:
        left_out.append(
            f"Only a superuser may drop the leftovers of TOAST: {drop_commands(locked)}"
        )
    return Plan(
        summary=_summary(rebuilt, droppable, concurrently=concurrently) + room
        if rebuilt or droppable or name or kind != "index"
        else "No index is invalid. To rebuild a valid one: -p name=INDEX.",
        planned=len(rebuilt) + len(droppable),
        unit="indexes",
        command=f"REINDEX {kind.upper()} {written or quoted(home)};",
        undo="nothing to undo: a rebuilt index does the same as the old one",
        work=work,
        verify=verify,
        sample=[each.row for each in (droppable + rebuilt)[:_MOST_SAMPLES]],
        bytes=sum(each.bytes for each in rebuilt),
        basis=basis,
        warning=" ".join(filter(None, left_out)),
        terms={"files": {each.label: each.file for each in intended}},
    )


def _statements(
    leftovers: list[Index], rebuilt: list[Index], *, concurrently: bool
) -> Iterator[tuple[sql.Composed, Index]]:
    how = sql.SQL("CONCURRENTLY " if concurrently else "")
    for each in leftovers:
        yield sql.SQL("DROP INDEX {}{}").format(how, each.identifier), each
    for each in rebuilt:
        yield sql.SQL("REINDEX INDEX {}{}").format(how, each.identifier), each


@contextmanager
def _nothing_left(
    target: Target, server: Connection, permit: Permit, index: Index, lock_wait_s: float
) -> Iterator[None]:
    """Drop the incomplete copy of an index if its rebuild within fails."""
    before = {
        each.oid for each in read_indexes(server, "tables", [index.table_oid]) if each.leftover
    }
    try:
        yield
    except BaseException:
        # The first error is the one to report. The next attempt finds a leftover that stays.
        with suppress(ServiceError):
            _drop_new_leftovers(target, permit, index, before, lock_wait_s)
        raise


def _drop_new_leftovers(
    target: Target, permit: Permit, index: Index, before: set[int], lock_wait_s: float
) -> None:
    with session(target, permit, lock_wait_s=lock_wait_s) as server:
        demand_nobody_builds(server, {index.table_oid})
        for left in read_indexes(server, "tables", [index.table_oid]):
            if left.leftover and left.reachable and left.oid not in before:
                drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(left.identifier)
                for _ in run(target, server, drop):
                    pass


def _summary(rebuilt: list[Index], leftovers: list[Index], *, concurrently: bool) -> str:
    how = "without a lock on writers" if concurrently else "with the table locked"
    names = rebuilt[0].label if len(rebuilt) == 1 else counted(len(rebuilt), "index", "indexes")
    words = f"Rebuild {names}, {how}." if rebuilt else "There is no index to rebuild."
    if leftovers:
        words += f" Drop {counted(len(leftovers), 'index', 'indexes')} left by failed attempts."
    return words


def _effect(
    target: Target, rebuilt: list[Index], leftovers: list[Index], refused: dict[str, str]
) -> Finding:
    """Return whether each index is valid and in a new file, and no leftover remains."""
    tables = {each.table_oid for each in (*rebuilt, *leftovers)}
    with connection(target, limit_s=PLAN_S) as database:
        found = {each.label: each for each in read_indexes(database, "tables", tables)}
        queries = {
            each.label: duplicates_query(database, each)
            for each in found.values()
            if each.label in refused or (each.is_unique and not each.valid and not each.leftover)
        }
    rows: list[Row] = []
    for old in rebuilt:
        new = found.get(old.label)
        rows.append(
            {
                "index": old.label,
                "mib_before": old.bytes / MIB,
                "mib_after": new.bytes / MIB if new else None,
                "valid": new.valid if new else False,
                "new": new is not None and new.file != old.file,
            }
        )
    done = sum(row["valid"] and row["new"] for row in rows)
    wrong = [row["index"] for row in rows if not (row["valid"] and row["new"])]
    left = [each for each in found.values() if each.leftover]
    problems = [
        _why_not(old, refused, queries.get(old.label, "")) for old in rebuilt if old.label in wrong
    ]
    problems += [f"{each.label} was left by a failed attempt{_if_locked(each)}" for each in left]
    if not problems:
        return Finding(
            status=Status.OK,
            message=f"{counted(len(rebuilt), 'index', 'indexes')} valid and in new files; "
            "no leftovers.",
            rows=rows,
        )
    more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
    return Finding(
        status=Status.CRIT,
        message=f"{done} of {counted(len(rebuilt), 'index', 'indexes')} rebuilt. "
        f"{'; '.join(problems[:_MOST_NAMED])}{more}.",
        rows=rows,
    )


def _why_not(index: Index, refused: dict[str, str], duplicates: str) -> str:
    """Say why an index was not rebuilt, and how to fix it."""
    if not duplicates:
        return f"{index.label} was not rebuilt; run it again to finish"
    why = refused.get(index.label, "")
    what = f"{index.label} was not rebuilt{': ' if why else ''}{why.rstrip('.')}"
    return f"{what}; remove the duplicate rows first; this finds them: {duplicates}"


def _if_locked(index: Index) -> str:
    return "" if index.reachable else f"; as superuser: DROP INDEX {index.label};"
