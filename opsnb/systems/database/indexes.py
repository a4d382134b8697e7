"""Indexes built anew, without a lock on the table, and what failed attempts left of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal, LiteralString

from psycopg import sql

from opsnb.check import check
from opsnb.errors import BadAnswer, Refused, ServiceError, UsageError
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
from opsnb.systems.database.relations import OURS, nearest
from opsnb.systems.database.room import free_bytes
from opsnb.systems.database.words import counted
from opsnb.target import Target

Kind = Literal["index", "table", "database"]

_MIB = 2**20
_MOST_SAMPLES = 20

_SELECT: LiteralString = """
    SELECT i.indexrelid::bigint AS oid, n.nspname AS schema, c.relname AS name,
        t.oid::bigint AS table_oid, t.oid::regclass::text AS on_table,
        pg_relation_filenode(c.oid)::bigint AS file, c.relpages::bigint AS pages,
        pg_relation_size(c.oid) AS bytes, i.indisvalid AS valid,
        i.indisexclusion AS excludes,
        NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AS leftover
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class t ON t.oid = i.indrelid
"""


@dataclass(frozen=True)
class Index:
    """An index as it stands."""

    oid: int
    schema: str
    name: str
    table_oid: int
    on_table: str
    file: int
    """The number of its file, which is another one after it was built anew."""
    pages: int
    bytes: int
    valid: bool
    excludes: bool
    leftover: bool
    """It is what a failed attempt to build another one left."""

    @property
    def label(self) -> str:
        """The name as people write it."""
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        """The name as SQL takes it, quoted."""
        return sql.Identifier(self.schema, self.name)

    @property
    def row(self) -> Row:
        """What the plan shows of it."""
        what = "drop: left by a failed attempt" if self.leftover else "build anew"
        state = "valid" if self.valid else "invalid"
        mib = self.bytes / _MIB
        return {
            "index": self.label,
            "table": self.on_table,
            "mib": mib,
            "state": state,
            "plan": what,
        }


@check(needs=(SYSTEM,))
def invalid_indexes(target: Target) -> Finding:
    """Invalid indexes.

    Such an index is written to and never read: a concurrent build that failed left it.
    """
    with connection(target) as database:
        rows = database.execute(
            "SELECT i.indexrelid::regclass::text AS index, i.indrelid::regclass::text AS table"
            " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE NOT i.indisvalid AND {OURS} AND NOT EXISTS"
            " (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid)"
            " ORDER BY 1 LIMIT 100"
        ).fetchall()
    if not rows:
        return Finding(status=Status.OK, message="All indexes are valid.", value=0, unit="indexes")
    names = ", ".join(row["index"] for row in rows[:3])
    return Finding(
        status=Status.WARN,
        message=f"{len(rows)} invalid: {names}; mend with: opsnb run database/reindex "
        f"-t {target.name} -p kind=table -p name='{rows[0]['table']}' --apply",
        value=len(rows),
        unit="indexes",
        rows=rows,
    )


@action(needs=(SYSTEM,), resumable=True)
def reindex(  # noqa: PLR0913 - what a runbook can choose by
    target: Target,
    former: ActionRecord | None,
    name: str = "",
    *,
    kind: Kind = "index",
    concurrently: bool = True,
    lock_wait_s: float = LOCK_WAIT_S,
) -> Plan:
    """Build indexes anew.

    One index, those of a table, or all of the users' own in the database, one after another. What
    failed attempts left on the same tables is dropped. Raises UsageError when there is none of
    that name, Refused when the disk has no room, BadAnswer when somebody else is building there.
    """
    with connection(target) as database:
        demand_primary(target, database)
        home = database.info.dbname
        chosen = _chosen(database, kind, name)
        if former:
            files = former.terms["files"]
            chosen = [each for each in chosen if each.leftover or each.label in files]
        tables = {each.table_oid for each in chosen}
        leftovers = [each for each in _of_tables(database, tables) if each.leftover]
        rebuilt = [each for each in chosen if not each.leftover]
        if concurrently:
            rebuilt = _without_exclusions(rebuilt, kind)
        meant = rebuilt
        if former:
            meant = [replace(each, file=files[each.label]) for each in rebuilt]
            # One that is equal to what is meant is in the file that it was in before.
            rebuilt = [each for each in rebuilt if each in meant or not each.valid]
        _demand_nobody_builds(database, tables)
        room = _demand_room(target, database, rebuilt)
        basis = (identity(database), [(i.label, i.valid, i.leftover) for i in rebuilt + leftovers])

    def work(permit: Permit) -> Iterator[int]:
        with session(target, permit, lock_wait_s=lock_wait_s) as server:
            steps = _statements(leftovers, rebuilt, concurrently=concurrently)
            for done, (statement, each) in enumerate(steps):
                with _nothing_left(target, server, permit, each, lock_wait_s):
                    for _ in run(target, server, statement):
                        yield done
                yield done + 1

    def verify() -> list[Finding]:
        return [_effect(target, meant, leftovers)]

    size = sum(each.bytes for each in rebuilt)
    return Plan(
        summary=_summary(rebuilt, leftovers, concurrently=concurrently) + room,
        planned=len(rebuilt) + len(leftovers),
        unit="indexes",
        command=f"REINDEX {kind.upper()} {name or home};",
        undo="nothing to undo: an index built anew serves as the old one did",
        work=work,
        verify=verify,
        sample=[each.row for each in (leftovers + rebuilt)[:_MOST_SAMPLES]],
        bytes=size,
        basis=basis,
        warning=""
        if concurrently
        else "Not concurrently: nobody can write to the table meanwhile, and hardly read.",
        terms={"files": {each.label: each.file for each in meant}},
    )


def _chosen(database: Connection, kind: Kind, name: str) -> list[Index]:
    if kind == "database":
        _demand_this_database(database, name)
        rows = database.execute(f"{_SELECT} WHERE {OURS} ORDER BY c.relpages, 2, 3")
        return [Index(**row) for row in rows]
    if not name:
        raise UsageError(f"Say which {kind}: -p name=...")
    if kind == "table":
        found = relations.table(database, name)
        return _of_tables(database, _tree(database, found.oid))
    found = relations.index(database, name)
    rows = database.execute(
        f"{_SELECT} WHERE i.indexrelid = ANY(%s::oid[]) ORDER BY c.relpages, 2, 3",
        [list(_tree(database, found.oid))],
    )
    return [Index(**row) for row in rows]


def _demand_this_database(database: Connection, name: str) -> None:
    if name in ("", database.info.dbname):
        return
    rows = database.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    known = [row["datname"] for row in rows]
    if name not in known:
        raise UsageError(f"There is no database '{name}'." + nearest(name, known))
    raise UsageError(
        f"The target's database is '{database.info.dbname}', not '{name}'; "
        "describe the other one as a target of its own in opsnb.toml."
    )


def _tree(database: Connection, oid: int) -> set[int]:
    """Return a relation and, when it is partitioned, all of its partitions."""
    rows = database.execute(
        "SELECT %(oid)s::bigint AS oid UNION"
        " SELECT relid::oid::bigint FROM pg_partition_tree(%(oid)s::oid::regclass)",
        {"oid": oid},
    )
    return {row["oid"] for row in rows}


def _of_tables(database: Connection, tables: set[int]) -> list[Index]:
    rows = database.execute(
        f"{_SELECT} WHERE i.indrelid = ANY(%s::oid[]) ORDER BY c.relpages, 2, 3", [list(tables)]
    )
    return [Index(**row) for row in rows]


def _without_exclusions(indexes: list[Index], kind: Kind) -> list[Index]:
    """Leave out what PostgreSQL cannot build concurrently; refuse when that alone was asked for."""
    if kind == "index" and any(each.excludes for each in indexes):
        raise UsageError(
            f"{indexes[0].label} belongs to an exclusion constraint, which cannot be built anew "
            "concurrently: give -p concurrently=false in a maintenance window."
        )
    return [each for each in indexes if not each.excludes]


def _demand_nobody_builds(database: Connection, tables: set[int]) -> None:
    row = database.execute(
        "SELECT pid, relid::regclass::text AS name FROM pg_stat_progress_create_index"
        " WHERE relid = ANY(%s::oid[]) LIMIT 1",
        [list(tables)],
    ).fetchone()
    if row:
        raise BadAnswer(
            SYSTEM,
            f"Session {row['pid']} is building an index on {row['name']} now; wait for its end.",
        )


def _demand_room(target: Target, database: Connection, indexes: Sequence[Index]) -> str:
    """Refuse when the largest new copy does not fit; return what else there is to say.

    They are built one after another, and each old one goes when its new one is whole.
    """
    need = max((each.bytes for each in indexes), default=0)
    free = free_bytes(target, database)
    if free is None:
        return " Whether the disk has room for the new copy could not be checked from here."
    if free < need:
        raise Refused(
            f"The largest index takes {need / _MIB:,.0f} MiB and the data directory's disk has "
            f"{free / _MIB:,.0f} MiB free, so the new copy has no room: make room first."
        )
    return ""


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
    """Drop the half-made copy of an index when its building fails within."""
    before = {each.oid for each in _of_tables(server, {index.table_oid}) if each.leftover}
    try:
        yield
    except BaseException:
        # What happened first is told. A leftover that stays is found by the next attempt.
        with suppress(ServiceError):
            _drop_new_leftovers(target, permit, index, before, lock_wait_s)
        raise


def _drop_new_leftovers(
    target: Target, permit: Permit, index: Index, before: set[int], lock_wait_s: float
) -> None:
    with session(target, permit, lock_wait_s=lock_wait_s) as server:
        _demand_nobody_builds(server, {index.table_oid})
        for left in _of_tables(server, {index.table_oid}):
            if left.leftover and left.oid not in before:
                drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(left.identifier)
                for _ in run(target, server, drop):
                    pass


def _summary(rebuilt: list[Index], leftovers: list[Index], *, concurrently: bool) -> str:
    how = "without a lock on writers" if concurrently else "with the table locked"
    names = rebuilt[0].label if len(rebuilt) == 1 else counted(len(rebuilt), "index", "indexes")
    words = f"Build {names} anew, {how}." if rebuilt else "There is no index to build anew."
    if leftovers:
        words += f" Drop {counted(len(leftovers), 'index', 'indexes')} that failed attempts left."
    return words


def _effect(target: Target, rebuilt: list[Index], leftovers: list[Index]) -> Finding:
    """Return whether each index is valid and in a new file, and every leftover is gone."""
    with connection(target) as database:
        found = {i.label: i for i in _of_tables(database, {i.table_oid for i in rebuilt})}
        remaining = _present(database, leftovers)
    rows: list[Row] = []
    for old in rebuilt:
        new = found.get(old.label)
        rows.append(
            {
                "index": old.label,
                "mib_before": old.bytes / _MIB,
                "mib_after": new.bytes / _MIB if new else None,
                "valid": new.valid if new else False,
                "new": new is not None and new.file != old.file,
            }
        )
    wrong = [row["index"] for row in rows if not (row["valid"] and row["new"])]
    left = [each.label for each in found.values() if each.leftover]
    wrong += sorted({*remaining, *left})
    if wrong:
        message = f"Not as planned: {', '.join(wrong[:5])}; plan again to finish the rest."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    return Finding(
        status=Status.OK,
        message=f"{counted(len(rebuilt), 'index', 'indexes')} valid and in new files; "
        "nothing half-made is left.",
        rows=rows,
    )


def _present(database: Connection, indexes: list[Index]) -> list[str]:
    rows = database.execute(
        "SELECT oid::bigint FROM pg_class WHERE oid = ANY(%s::oid[])", [[i.oid for i in indexes]]
    ).fetchall()
    there = {row["oid"] for row in rows}
    return [each.label for each in indexes if each.oid in there]
