"""Proving a backup: restored into a scratch database, compared, and dropped whatever happens.

Handbook, sections 4.5 and 9.2. Of the live database only its name and its likeness are read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.model import ActionRecord, ActionState, Finding, Status, now
from opsnb.systems.database.connecting import connection, session
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.archives import Archive, demand_checksum, demand_whole, read
from opsnb.systems.database.dumps.contents import Contents
from opsnb.systems.database.dumps.names import STAMP, chosen, folder_of
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.pooler import direct
from opsnb.systems.database.programs import Program
from opsnb.systems.database.recovery.comparing import side_by_side
from opsnb.systems.database.recovery.dumping import FOLDER
from opsnb.systems.database.recovery.leftout import LeftOut
from opsnb.systems.database.recovery.omissions import demand_restorable, foreseen
from opsnb.systems.database.recovery.rebuilding import Outcome, live_database, rebuilt
from opsnb.systems.database.recovery.scratch import databases, drop, named, scratch
from opsnb.systems.database.room import demand_room
from opsnb.systems.database.words import quoted
from opsnb.systems.host.settings import HostSettings

_COMMAND = "psql $SCRATCH_DATABASE_URL < backup.sql"
# `restore` leaves a database with another name, which is never taken for a proof's.
_WHAT = "proof"


@dataclass(frozen=True)
class _Left:
    """The scratch databases of interrupted proofs."""

    ours: list[str]
    """Those to drop: nobody is connected to them."""
    busy: list[str]
    unmarked: list[str]
    """Those with a proof's name and without opsnb's mark."""


@action(needs=(SYSTEM,))
def prove(
    target: Target, former: ActionRecord | None, file: str = "", *, folder: str = FOLDER
) -> Plan:
    """Prove a backup by restoring it.

    Without `file`, the newest full backup in `folder`. It is restored into a scratch database,
    compared table by table with the rows in the backup, and dropped. Scratch databases of
    interrupted proofs are dropped as well, unless somebody is connected to them. Raises UsageError
    if there is no such file, BadAnswer if it is damaged, is more than data, there is too little
    space, or this login may not create databases.
    """
    target = direct(target)
    with connection(target) as database:
        live = live_database(database, HostSettings.of(target).address)
        left = _left(database, live.name)
    if former and former.state is ActionState.APPLIED:
        return _proven(target, former)
    path = chosen(folder_of(folder), target.name, live.name, file)
    if path is None and not left.ours:
        none = "There is no full backup to prove yet: database/backup makes one."
        summary = " ".join([none, *_kept_words(left)])
        return Plan.nothing(summary, "databases", terms={"file": "", "name": ""})
    archive = Archive(path, Program(target, "pg_restore")) if path else None
    contents, expected = Contents(), LeftOut()
    basis: list[object] = [live.identity]
    if archive:
        demand_room(live.free, max(live.bytes, archive.size), f"prove {archive.path.name}")
        contents, _ = read(archive)
        with connection(target) as database:
            demand_restorable(database, archive, contents)
            expected = foreseen(database, contents)
        basis += archive.signature()
    name = named(live.name, _WHAT, now().strftime(STAMP))
    proof = Outcome()

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        if left.ours:
            with session(target, permit) as server:
                for one in left.ours:
                    drop(server, one)
        yield len(left.ours)
        if archive is None:
            return
        clock = time.perf_counter()
        demand_checksum(archive)
        with scratch(target, permit, name, live.like):
            for _ in rebuilt(target, permit, archive, name, proof):
                yield len(left.ours)
            with session(target, permit) as server:
                drop(server, name)
        proof.seconds = time.perf_counter() - clock
        yield len(left.ours) + 1

    plans = [{"database": one, "plan": "drop: left by an interrupted proof"} for one in left.ours]
    return Plan(
        summary=_summary(archive, name, left),
        planned=len(left.ours) + (archive is not None),
        unit="databases",
        command=_COMMAND,
        undo="nothing to undo: no scratch database stays",
        work=work,
        verify=lambda: _effects(target, archive, name, proof, live.login),
        sample=plans
        + ([{"database": name, "plan": f"make from {path}, compare, drop"}] if path else []),
        bytes=archive.size if archive else None,
        basis=[*basis, left.ours],
        warning=f"{expected.sentence(live.login)}." if expected else "",
        terms={"file": str(path) if path else "", "name": name},
    )


def _summary(archive: Archive | None, name: str, left: _Left) -> str:
    parts = []
    if left.ours:
        parts.append(f"Drop {', '.join(left.ours)}, left by an interrupted proof.")
    parts += _kept_words(left)
    parts.append(
        f"Restore {archive.path} into the new database {name}, compare it, and drop it."
        if archive
        else "There is no full backup to prove."
    )
    return " ".join(parts)


def _kept_words(left: _Left) -> list[str]:
    sentences = []
    if left.busy:
        listed = ", ".join(left.busy)
        sentences.append(f"{listed} belongs to another proof and is in use, so it stays for now.")
    if left.unmarked:
        listed = ", ".join(left.unmarked)
        sentences.append(f"{listed} has a proof's name but lacks opsnb's mark, so it stays.")
    return sentences


def _proven(target: Target, former: ActionRecord) -> Plan:
    """Return the plan for a proof that the interrupted run has done: nothing is left to do."""
    file = former.terms["file"]
    archive = Archive(Path(file), Program(target, "pg_restore")) if file else None
    return Plan.nothing(
        former.summary,
        "databases",
        verify=lambda: _effects(target, archive, former.terms["name"], None, ""),
        terms=former.terms,
    )


def _left(database: Connection, live: str) -> _Left:
    """Return the scratch databases of former proofs."""
    proofs = re.compile(re.escape(named(live, _WHAT, "")) + r"\d{8}t\d{6}z")
    found = {name: row for name, row in databases(database).items() if proofs.fullmatch(name)}
    return _Left(
        [name for name, row in found.items() if row["is_ours"] and not row["is_used"]],
        [name for name, row in found.items() if row["is_ours"] and row["is_used"]],
        [name for name, row in found.items() if not row["is_ours"]],
    )


def _effects(
    target: Target, archive: Archive | None, name: str, proof: Outcome | None, login: str
) -> list[Finding]:
    """Return whether all rows were restored, and what this login could not restore."""
    found = [_effect(target, archive, name, proof)]
    if proof and proof.left_out and proof.seconds:
        message = f"Not proven: {proof.left_out.sentence(login)}."
        # All rows came back, so that the proof itself is done.
        found.append(Finding(status=Status.WARN, message=message, settled=True))
    return found


def _effect(target: Target, archive: Archive | None, name: str, proof: Outcome | None) -> Finding:
    """Return whether all rows were restored, and no scratch database is left."""
    with connection(target) as database:
        row = database.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
    if row is not None:
        message = f"The scratch database is still there; drop it: DROP DATABASE {quoted(name)};"
        return Finding(status=Status.CRIT, message=message)
    if archive is None:
        return Finding(status=Status.OK, message="No scratch database is left.")
    if proof is None:
        demand_whole(archive)
        message = f"{archive.path.name} is complete, and no scratch database is left."
        return Finding(status=Status.OK, message=message)
    held = proof.contents.rows if proof.contents else {}
    rows = side_by_side(held, restored=proof.restored)
    if not proof.seconds or proof.contents is None:
        message = f"{archive.path.name} was not proven; no scratch database is left."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    took = f"{archive.path.name} was restored in {proof.seconds:.1f} s"
    if not proof.contents.total:
        message = f"{took}, and holds no rows, so nothing is proven; no scratch database is left."
        return Finding(status=Status.UNKNOWN, message=message, rows=rows)
    message = (
        f"{took}, all of its {proof.contents.words} came back, and the scratch database is dropped."
    )
    return Finding(
        status=Status.OK, message=message, value=round(proof.seconds, 1), unit="s", rows=rows
    )
