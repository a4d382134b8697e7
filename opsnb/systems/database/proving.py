"""Proving a backup: restored into a scratch database, counted, and dropped again whatever happens.

Handbook, sections 4.5 and 9.2. The live database is only asked for its name and its likeness.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opsnb.errors import BadAnswer
from opsnb.guard import Permit, Plan, action, require
from opsnb.model import ActionRecord, ActionState, Finding, Row, Status, now
from opsnb.systems.database import programs
from opsnb.systems.database.access import SYSTEM, Connection, connection, demand_primary, identity
from opsnb.systems.database.archives import (
    STAMP,
    Archive,
    demand_readable,
    demand_whole,
    file_errors,
    rows_in,
)
from opsnb.systems.database.dumping import FOLDER
from opsnb.systems.database.restoring import chosen, demand_rights
from opsnb.systems.database.room import free_bytes
from opsnb.systems.database.scratch import (
    Rows,
    counts,
    demand_equal,
    drop,
    filled,
    likeness,
    named,
    quoted,
    scratch,
)
from opsnb.systems.database.words import counted
from opsnb.target import Target

_MIB = 2**20
_COMMAND = "psql $SCRATCH_DATABASE_URL < backup.sql"
# What `restore` leaves to be looked at has another name, and is never taken for ours.
_WHAT = "proof"


@dataclass
class _Proof:
    """What the work has seen, for the effect to tell of."""

    held: Rows = field(default_factory=dict)
    restored: Rows = field(default_factory=dict)
    seconds: float = 0.0


@action(needs=(SYSTEM,), resumable=True)
def prove(
    target: Target, former: ActionRecord | None, file: str = "", *, folder: str = FOLDER
) -> Plan:
    """Prove a backup by restoring it.

    Without `file` the newest full backup in `folder`. It goes into a scratch database, is compared
    with the rows that it holds, table by table, and dropped. What a killed proof has left is
    dropped as well, unless somebody is connected to it. Raises UsageError when there is no such
    file, BadAnswer when it is damaged, there is too little space, or this login may not make
    databases.
    """
    with connection(target) as database:
        demand_primary(target, database)
        live = database.info.dbname
        demand_rights(database, live)
        like = likeness(database)
        basis: list[object] = [identity(database)]
        size, free = _size(database), free_bytes(target, database)
        left, busy = _left(database, live)
    if former and former.state is ActionState.APPLIED:
        return _proven(target, former)
    path = chosen(target, live, file, folder)
    if path is None and not left:
        return _nothing(busy)
    archive = Archive(path) if path else None
    if archive:
        _demand_usable(target, archive, size, free)
        with file_errors(archive.path):
            basis += [str(path), archive.path.stat().st_size, archive.path.stat().st_mtime_ns]
    name = named(live, _WHAT, now().strftime(STAMP))
    proof = _Proof()

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for one in left:
            drop(target, permit, one)
        yield len(left)
        if archive is None:
            return
        clock = time.perf_counter()
        demand_whole(target, archive)
        proof.held = rows_in(target, archive)
        with scratch(target, permit, name, like):
            for _ in filled(target, permit, archive, name):
                yield len(left)
            proof.restored = counts(target, name)
            demand_equal(proof.held, proof.restored)
            drop(target, permit, name)
        proof.seconds = time.perf_counter() - clock
        yield len(left) + 1

    return Plan(
        summary=_summary(archive, name, left, busy),
        planned=len(left) + (archive is not None),
        unit="databases",
        command=_COMMAND,
        undo="nothing to undo: no scratch database stays",
        work=work,
        verify=lambda: [_effect(target, archive, name, proof)],
        sample=[{"database": one, "plan": "drop: left by a proof that was killed"} for one in left]
        + ([{"database": name, "plan": f"make from {path}, compare, drop"}] if path else []),
        bytes=archive.path.stat().st_size if archive else None,
        basis=[*basis, left],
        terms={"file": str(path) if path else "", "name": name},
    )


def _summary(archive: Archive | None, name: str, left: list[str], busy: list[str]) -> str:
    parts = []
    if left:
        parts.append(f"Drop {', '.join(left)}, which a proof that was killed has left.")
    parts += _busy_words(busy)
    parts.append(
        f"Restore {archive.path} into the new database {name}, compare it, and drop it again."
        if archive
        else "There is no full backup to prove."
    )
    return " ".join(parts)


def _busy_words(busy: list[str]) -> list[str]:
    if not busy:
        return []
    return [f"{', '.join(busy)} is of another proof and in use, so it stays until the next run."]


def _proven(target: Target, former: ActionRecord) -> Plan:
    """Return the plan for a proof that a continued run has done: nothing is left to do."""
    file = former.terms["file"]
    archive = Archive(Path(file)) if file else None
    return Plan(
        summary=former.summary,
        planned=0,
        unit="databases",
        command=_COMMAND,
        undo=former.undo,
        work=lambda _: iter(()),
        verify=lambda: [_effect(target, archive, former.terms["name"], None)],
        terms=former.terms,
    )


def _nothing(busy: list[str]) -> Plan:
    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        yield 0

    told = ["There is no full backup to prove yet: database/backup makes one.", *_busy_words(busy)]
    return Plan(
        summary=" ".join(told),
        planned=0,
        unit="databases",
        command=_COMMAND,
        undo="",
        work=work,
        verify=list,
        terms={"file": "", "name": ""},
    )


def _size(database: Connection) -> int:
    row = database.execute("SELECT pg_database_size(current_database()) AS bytes").fetchone()
    return int(row["bytes"]) if row else 0


def _demand_usable(target: Target, archive: Archive, size: int, free: int | None) -> None:
    programs.demand_program(target, "pg_restore" if archive.format == "custom" else "psql")
    demand_readable(target, archive)
    if free is not None and free < size:
        raise BadAnswer(
            SYSTEM,
            f"Restored, the database takes about {size / _MIB:,.0f} MiB again, and its disk has "
            f"{free / _MIB:,.0f} MiB free: make room, or prove {archive.path.name} on another "
            "server.",
        )


def _left(database: Connection, live: str) -> tuple[list[str], list[str]]:
    """Return the scratch databases of former proofs: those nobody is in, and those in use."""
    ours = re.compile(re.escape(named(live, _WHAT, "")) + r"\d{8}t\d{6}z")
    rows = database.execute(
        "SELECT datname AS name,"
        " EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname"
        # The server's own workers, autovacuum's above all, are nobody.
        " AND a.backend_type = 'client backend') AS is_used"
        " FROM pg_database d ORDER BY 1"
    ).fetchall()
    found = [row for row in rows if ours.fullmatch(row["name"])]
    return (
        [row["name"] for row in found if not row["is_used"]],
        [row["name"] for row in found if row["is_used"]],
    )


def _effect(target: Target, archive: Archive | None, name: str, proof: _Proof | None) -> Finding:
    """Return whether all rows came back, and no scratch database stays; `proof` as it was seen."""
    with connection(target) as database:
        row = database.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
    if row is not None:
        message = f"The scratch database stays; drop it: DROP DATABASE {quoted(name)};"
        return Finding(status=Status.CRIT, message=message)
    if archive is None:
        return Finding(status=Status.OK, message="No scratch database stays.")
    if proof is None:
        demand_whole(target, archive)
        message = f"{archive.path.name} is whole, and no scratch database stays."
        return Finding(status=Status.OK, message=message)
    rows: list[Row] = [
        {
            "table": f"{schema}.{table}",
            "in_the_backup": proof.held.get((schema, table)),
            "restored": proof.restored.get((schema, table)),
        }
        for schema, table in sorted({*proof.held, *proof.restored})
    ]
    if not proof.seconds:
        message = f"{archive.path.name} was not proven; no scratch database stays."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    message = (
        f"{archive.path.name} was restored in {proof.seconds:.1f} s, all of its "
        f"{counted(sum(proof.held.values()), 'row')} in {counted(len(proof.held), 'table')} came "
        "back, and the scratch database is dropped."
    )
    return Finding(
        status=Status.OK, message=message, value=round(proof.seconds, 1), unit="s", rows=rows
    )
