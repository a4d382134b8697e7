"""Proving a backup: restored into a scratch database, counted, and dropped again whatever happens.

Handbook, sections 4.5 and 9.2. The live database is only asked for its name and its likeness.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.model import ActionRecord, ActionState, Finding, Row, Status, now
from opsnb.systems.database import programs
from opsnb.systems.database.access import SYSTEM, Connection, connection, demand_primary, identity
from opsnb.systems.database.archives import (
    STAMP,
    Archive,
    contents_of,
    demand_checksum,
    demand_readable,
    demand_whole,
)
from opsnb.systems.database.contents import LARGE_OBJECTS, Contents, Rows
from opsnb.systems.database.direct import direct
from opsnb.systems.database.dumping import FOLDER
from opsnb.systems.database.filling import LeftOut, filled, finished
from opsnb.systems.database.omissions import demand_restorable, foreseen
from opsnb.systems.database.restoring import chosen, demand_rights
from opsnb.systems.database.room import demand_room, free_bytes
from opsnb.systems.database.scratch import (
    counts,
    demand_equal,
    demand_tablespace,
    drop,
    is_marked,
    likeness,
    missing_tables,
    named,
    quoted,
    scratch,
)

_COMMAND = "psql $SCRATCH_DATABASE_URL < backup.sql"
# What `restore` leaves to be looked at has another name, and is never taken for ours.
_WHAT = "proof"


@dataclass
class _Proof:
    """What the work has seen, for the effect to tell of."""

    contents: Contents | None = None
    restored: Rows = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Left:
    """The scratch databases of former proofs."""

    ours: list[str]
    """Those that nobody is in."""
    busy: list[str]
    unmarked: list[str]
    """Named like ours, and not known to be."""


@action(needs=(SYSTEM,))
def prove(
    target: Target, former: ActionRecord | None, file: str = "", *, folder: str = FOLDER
) -> Plan:
    """Prove a backup by restoring it.

    Without `file` the newest full backup in `folder`. It goes into a scratch database, is compared
    with the rows that it holds, table by table, and dropped. What a killed proof has left is
    dropped as well, unless somebody is connected to it. Raises UsageError when there is no such
    file, BadAnswer when it is damaged, says more than data, there is too little space, or this
    login may not make databases.
    """
    target = direct(target)
    with connection(target) as database:
        demand_primary(target, database)
        live, login = database.info.dbname, database.info.user
        demand_rights(database)
        like = likeness(database)
        demand_tablespace(like)
        basis: list[object] = [identity(database)]
        size, free = _size(database), free_bytes(target, database)
        left = _left(database, live)
    if former and former.state is ActionState.APPLIED:
        return _proven(target, former)
    path = chosen(target, live, file, folder)
    if path is None and not left.ours:
        return _nothing(left)
    archive = Archive(path) if path else None
    contents, expected = Contents(), LeftOut()
    if archive:
        demand_room(free, max(size, archive.size), f"prove {archive.path.name}")
        contents, expected = _usable(target, archive)
        basis += archive.signature()
    name = named(live, _WHAT, now().strftime(STAMP))
    proof = _Proof()

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for one in left.ours:
            drop(target, permit, one)
        yield len(left.ours)
        if archive is None:
            return
        clock = time.perf_counter()
        demand_checksum(archive)
        with scratch(target, permit, name, like):
            for _ in filled(target, permit, archive, name, proof.left_out):
                yield len(left.ours)
            proof.restored = counts(target, name, contents.rows)
            demand_equal(contents, proof.restored, missing_tables(target, name, contents))
            proof.contents = contents
            for _ in finished(target, permit, archive, name, proof.left_out):
                yield len(left.ours)
            drop(target, permit, name)
        proof.seconds = time.perf_counter() - clock
        yield len(left.ours) + 1

    plans = [
        {"database": one, "plan": "drop: left by a proof that was killed"} for one in left.ours
    ]
    return Plan(
        summary=_summary(archive, name, left),
        planned=len(left.ours) + (archive is not None),
        unit="databases",
        command=_COMMAND,
        undo="nothing to undo: no scratch database stays",
        work=work,
        verify=lambda: _effects(target, archive, name, proof, login),
        sample=plans
        + ([{"database": name, "plan": f"make from {path}, compare, drop"}] if path else []),
        bytes=archive.size if archive else None,
        basis=[*basis, left.ours],
        warning=f"{expected.sentence(login)}." if expected else "",
        terms={"file": str(path) if path else "", "name": name},
    )


def _usable(target: Target, archive: Archive) -> tuple[Contents, LeftOut]:
    """Return what a dump holds, and what this login would leave out. Raises BadAnswer."""
    if archive.format != "plain":
        programs.demand_program(target, "pg_restore", of_server=False)
    demand_readable(target, archive)
    contents = contents_of(target, archive)
    with connection(target) as database:
        demand_restorable(database, archive, contents)
        return contents, foreseen(database, contents)


def _summary(archive: Archive | None, name: str, left: _Left) -> str:
    parts = []
    if left.ours:
        parts.append(f"Drop {', '.join(left.ours)}, which a proof that was killed has left.")
    parts += _kept_words(left)
    parts.append(
        f"Restore {archive.path} into the new database {name}, compare it, and drop it again."
        if archive
        else "There is no full backup to prove."
    )
    return " ".join(parts)


def _kept_words(left: _Left) -> list[str]:
    told = []
    if left.busy:
        listed = ", ".join(left.busy)
        told.append(f"{listed} is of another proof and in use, so it stays until the next run.")
    if left.unmarked:
        listed = ", ".join(left.unmarked)
        told.append(f"{listed} has a proof's name and no mark of opsnb's, so it stays.")
    return told


def _proven(target: Target, former: ActionRecord) -> Plan:
    """Return the plan for a proof that a continued run has done: nothing is left to do."""
    file = former.terms["file"]
    archive = Archive(Path(file)) if file else None
    return Plan.nothing(
        former.summary,
        "databases",
        verify=lambda: _effects(target, archive, former.terms["name"], None, ""),
        terms=former.terms,
    )


def _nothing(left: _Left) -> Plan:
    words = ["There is no full backup to prove yet: database/backup makes one.", *_kept_words(left)]
    return Plan.nothing(" ".join(words), "databases", terms={"file": "", "name": ""})


def _size(database: Connection) -> int:
    row = database.execute("SELECT pg_database_size(current_database()) AS bytes").fetchone()
    return int(row["bytes"]) if row else 0


def _left(database: Connection, live: str) -> _Left:
    """Return the scratch databases of former proofs."""
    ours = re.compile(re.escape(named(live, _WHAT, "")) + r"\d{8}t\d{6}z")
    rows = database.execute(
        "SELECT datname AS name,"
        # The server's own workers, autovacuum's above all, are of no login.
        " EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname"
        " AND a.usesysid IS NOT NULL) AS is_used"
        " FROM pg_database d ORDER BY 1"
    ).fetchall()
    found = [row for row in rows if ours.fullmatch(row["name"])]
    marked = {row["name"] for row in found if is_marked(database, row["name"])}
    return _Left(
        [row["name"] for row in found if row["name"] in marked and not row["is_used"]],
        [row["name"] for row in found if row["name"] in marked and row["is_used"]],
        [row["name"] for row in found if row["name"] not in marked],
    )


def _effects(
    target: Target, archive: Archive | None, name: str, proof: _Proof | None, login: str
) -> list[Finding]:
    """Return whether all rows came back, and what this login could not restore."""
    found = [_effect(target, archive, name, proof)]
    if proof and proof.left_out and proof.seconds:
        message = f"Not proven: {proof.left_out.sentence(login)}."
        # The data came back all the same.
        found.append(Finding(status=Status.WARN, message=message, settled=True))
    return found


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
    held = proof.contents.rows if proof.contents else {}
    rows: list[Row] = [
        {
            "table": "large objects" if key == LARGE_OBJECTS else ".".join(key),
            "in_the_backup": held.get(key),
            "restored": proof.restored.get(key),
        }
        for key in sorted({*held, *proof.restored})
    ]
    if not proof.seconds or proof.contents is None:
        message = f"{archive.path.name} was not proven; no scratch database stays."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    took = f"{archive.path.name} was restored in {proof.seconds:.1f} s"
    if not proof.contents.total:
        message = f"{took}, and holds no rows, so nothing is proven; no scratch database stays."
        return Finding(status=Status.UNKNOWN, message=message, rows=rows)
    message = (
        f"{took}, all of its {proof.contents.words} came back, and the scratch database is dropped."
    )
    return Finding(
        status=Status.OK, message=message, value=round(proof.seconds, 1), unit="s", rows=rows
    )
