"""Restoring a dump: into a scratch database, compared, and only then swapped in by renaming."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import ActionRecord, ActionState, Finding, now
from opsnb.systems.database.connecting import connection, session
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.archives import Archive, contents_of, demand_checksum, read
from opsnb.systems.database.dumps.names import STAMP, chosen, folder_of
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.pooler import direct
from opsnb.systems.database.programs import Program
from opsnb.systems.database.recovery.dumping import FOLDER
from opsnb.systems.database.recovery.likeness import copy_settings
from opsnb.systems.database.recovery.omissions import demand_complete, demand_restorable, foreseen
from opsnb.systems.database.recovery.rebuilding import Live, Outcome, live_database, rebuilt
from opsnb.systems.database.recovery.restored import Names, effects, existing, lacking
from opsnb.systems.database.recovery.scratch import databases, drop, named, scratch
from opsnb.systems.database.recovery.swapping import consequences, demand_swappable, swapped
from opsnb.systems.database.room import demand_room
from opsnb.systems.database.words import quoted
from opsnb.systems.host.settings import HostSettings
from opsnb.view.formats import MIB

_COMMAND = "psql $DATABASE_URL < backup.sql"


@action(needs=(SYSTEM,))
def restore(
    target: Target,
    former: ActionRecord | None,
    file: str = "",
    *,
    swap: bool = False,
    folder: str = FOLDER,
) -> Plan:
    """Restore a backup.

    Without `file`, the newest full backup in `folder`. It is restored into a scratch database,
    which stays there for you to inspect. With `swap`, the scratch database then takes the live
    one's name, and the live one stays under another name. Raises UsageError if there is no such
    file, BadAnswer if it is damaged, is more than data, or this login may not create databases.
    """
    target = direct(target)
    with connection(target) as database:
        live = live_database(database, HostSettings.of(target).address)
        maintenance = demand_swappable(database) if swap else ""
        after_swap = consequences(database, live.like) if swap else ""
        if former and _is_done(former, live, swap=swap):
            return _done(target, former, swap=swap)
        left, kept = _leftover(database, former) if former else ("", "")
    place = folder_of(folder)
    path = chosen(place, target.name, live.name, former.terms["file"] if former else file)
    if path is None:
        return Plan.nothing(
            f"There is no full backup of {target.name} in {place}. Name a file with -p file=...",
            "databases",
            command=_COMMAND,
        )
    archive = Archive(path, Program(target, "pg_restore"))
    contents, entries = read(archive)
    with connection(target) as database:
        demand_restorable(database, archive, contents)
        if swap and not contents.total:
            message = f"{path} holds no rows; swapped in, it would empty {live.name}."
            raise BadAnswer(SYSTEM, message)
        demand_room(live.free, max(live.bytes, archive.size), f"restore {path.name}")
        expected = foreseen(database, contents)
        if swap:
            demand_complete(database, archive, expected)
        names = _unused(database, live.name)
    seen = Outcome()

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        if left:
            with session(target, permit) as server:
                drop(server, left)
        demand_checksum(archive)
        yield 0
        with scratch(target, permit, names.scratch, live.like):
            for _ in rebuilt(target, permit, archive, names.scratch, seen):
                yield 0
            with session(target, permit, database=names.scratch) as server:
                seen.refused = copy_settings(server, names.scratch, live.like)
            if swap:
                _demand_whole(seen, live)
                pairs = [(names.live, names.before), (names.scratch, names.live)]
                with (
                    session(target, permit, database=maintenance) as server,
                    session(target, permit, database=maintenance) as ending,
                ):
                    for _ in swapped(server, ending, pairs, live.like):
                        yield 0
        yield 1

    def verify() -> list[Finding]:
        return effects(target, names, seen, live.oid, live.login, swap=swap)

    warnings = [after_swap] + [f"{expected.sentence(live.login)}."] * bool(expected)
    return Plan(
        summary=_summary(path, names, left, kept, swap=swap),
        planned=1,
        unit="databases",
        command=_COMMAND,
        undo=_undo(names, swap=swap),
        work=work,
        verify=verify,
        sample=[
            {"fact": "file", "value": str(path)},
            {"fact": "format", "value": archive.format},
            {"fact": "MiB", "value": archive.size / MIB},
            *([{"fact": "entries", "value": entries}] if entries else []),
            {"fact": "rows", "value": contents.total},
            {"fact": "the live database, MiB", "value": live.bytes / MIB},
        ],
        bytes=archive.size,
        basis=[live.identity, swap, *archive.signature()],
        warning=" ".join(warning for warning in warnings if warning),
        terms={
            "file": str(path),
            "names": [names.live, names.scratch, names.before],
            "oid": live.oid,
        },
    )


def _summary(path: Path, names: Names, left: str, kept: str, *, swap: bool) -> str:
    parts = [
        f"Drop {left}, which is incomplete." if left else "",
        f"Keep {kept}, because it lacks opsnb's mark." if kept else "",
        f"Restore {path} into the new database {names.scratch}, compare it,",
        f"then rename {names.live} to {names.before} and {names.scratch} to {names.live}."
        if swap
        else f"and leave it there; {names.live} stays as it is.",
    ]
    return " ".join(part for part in parts if part)


def _undo(names: Names, *, swap: bool) -> str:
    if swap:
        return f"rename {names.live} away and {names.before} back to {names.live}"
    return f"DROP DATABASE {quoted(names.scratch)};"


def _leftover(database: Connection, former: ActionRecord) -> tuple[str, str]:
    """Return the incomplete database of an interrupted restore: one to drop, or one to keep."""
    name = Names(*former.terms["names"]).scratch
    found = databases(database).get(name)
    if found is None:
        return "", ""
    return (name, "") if found["is_ours"] else ("", name)


def _demand_whole(seen: Outcome, live: Live) -> None:
    """Raise BadAnswer if the restored database lacks something that the live one has."""
    if parts := lacking(seen, live.login):
        raise BadAnswer(
            SYSTEM,
            f"Restored, {live.name} would be incomplete ({parts}), so it is not swapped in. Use a "
            "login that may do all of it, a superuser, in the target's database url.",
        )


def _is_done(former: ActionRecord, live: Live, *, swap: bool) -> bool:
    """Whether an interrupted restore was complete: it said so, or another database is live now.

    Both databases are renamed in one transaction, so a swap is never done by half.
    """
    applied = former.state is ActionState.APPLIED or not former.terms
    return applied or (swap and bool(live.oid != former.terms["oid"]))


def _done(target: Target, former: ActionRecord, *, swap: bool) -> Plan:
    """Return the plan for a restore that the interrupted run has done: nothing is left to do."""

    def verify() -> list[Finding]:
        if not former.terms:  # there was no backup
            return []
        names = Names(*former.terms["names"])
        archive = Archive(Path(former.terms["file"]), Program(target, "pg_restore"))
        seen = Outcome(contents_of(archive))
        return effects(target, names, seen, former.terms["oid"], "", swap=swap)

    return Plan.nothing(former.summary, "databases", verify=verify, terms=former.terms)


def _unused(database: Connection, live: str) -> Names:
    """Return names that no database has, because two restores may begin in the same second."""
    while True:
        stamp = now().strftime(STAMP)
        names = Names(live, named(live, "restore", stamp), named(live, "before", stamp))
        if existing(database, names) <= {live}:
            return names
        time.sleep(0.2)
