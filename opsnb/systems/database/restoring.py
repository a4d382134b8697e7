"""Restoring a dump: into a scratch database, compared, and only then swapped in by renaming."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, UsageError
from opsnb.model import ActionRecord, ActionState, Finding, Row, Status, now
from opsnb.systems.database import programs
from opsnb.systems.database.access import SYSTEM, Connection, connection, demand_primary, identity
from opsnb.systems.database.archives import (
    STAMP,
    Archive,
    contents_of,
    demand_checksum,
    demand_readable,
    folder_of,
    ours,
)
from opsnb.systems.database.contents import LARGE_OBJECTS, Contents, Rows
from opsnb.systems.database.direct import direct
from opsnb.systems.database.dumping import FOLDER
from opsnb.systems.database.filling import LeftOut, filled, finished
from opsnb.systems.database.omissions import demand_complete, demand_restorable, foreseen
from opsnb.systems.database.relations import nearest
from opsnb.systems.database.room import demand_room, free_bytes
from opsnb.systems.database.scratch import (
    counts,
    demand_equal,
    demand_tablespace,
    drop,
    is_marked,
    likened,
    likeness,
    missing_tables,
    named,
    quoted,
    scratch,
)
from opsnb.systems.database.swapping import consequences, demand_swappable, swapped
from opsnb.view.formats import counted

_MIB = 2**20


@dataclass(frozen=True)
class _Names:
    """The databases of one restore."""

    live: str
    scratch: str
    before: str


@dataclass
class _Restored:
    """What the work has seen, for the effect to tell of."""

    contents: Contents | None = None
    """What was compared; None as long as nothing was."""
    restored: Rows = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    refused: list[str] = field(default_factory=list)
    """Settings of the live database that the restored one lacks."""


@dataclass(frozen=True)
class _Live:
    """The live database as it is now."""

    name: str
    login: str
    like: dict[str, Any]
    facts: Row
    free: int | None
    identity: tuple[str, ...]
    after_swap: str
    """What a swap does to others."""


def _live(target: Target, *, swap: bool) -> _Live:
    """Read the live database. Raises an error when this login may not do what is to be done."""
    with connection(target) as database:
        demand_primary(target, database)
        demand_rights(database)
        if swap:
            demand_swappable(target, database)
        like = likeness(database)
        demand_tablespace(like)
        return _Live(
            name=database.info.dbname,
            login=database.info.user,
            like=like,
            facts=_facts(database),
            free=free_bytes(target, database),
            identity=identity(database),
            after_swap=consequences(database, like) if swap else "",
        )


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

    Without `file` the newest full backup in `folder`. It goes into a scratch database, which stays
    there to be looked at; with `swap` it takes the live one's place by renaming, and the live one
    stays under another name. Raises UsageError when there is no such file, BadAnswer when it is
    damaged, says more than data, or this login may not make databases.
    """
    target = direct(target)
    now_there = _live(target, swap=swap)
    live, like, login = now_there.name, now_there.like, now_there.login
    facts = now_there.facts
    basis: list[object] = [now_there.identity, swap]
    left = kept = ""
    if former:
        if _is_done(former, facts, swap=swap):
            return _made(target, former, swap=swap)
        names = _Names(*former.terms["names"])
        left, kept = _leftover(target, names)
        file = former.terms["file"]
    path = chosen(target, live, file, folder)
    if path is None:
        return _nothing(target, folder)
    archive = Archive(path)
    contents, entries = _usable(target, archive, live, swap=swap)
    demand_room(now_there.free, max(facts["bytes"], archive.size), f"restore {path.name}")
    with connection(target) as database:
        expected = foreseen(database, contents)
        if swap:
            demand_complete(target, database, archive, expected, live)
    basis += archive.signature()
    names = _unused(target, live)
    seen = _Restored()

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        if left:
            drop(target, permit, left)
        demand_checksum(archive)
        yield 0
        with scratch(target, permit, names.scratch, like):
            for _ in filled(target, permit, archive, names.scratch, seen.left_out):
                yield 0
            missing = missing_tables(target, names.scratch, contents)
            seen.restored = counts(target, names.scratch, contents.rows)
            demand_equal(contents, seen.restored, missing)
            seen.contents = contents
            for _ in finished(target, permit, archive, names.scratch, seen.left_out):
                yield 0
            seen.refused = likened(target, permit, names.scratch, like)
            if swap:
                _demand_nothing_left_out(seen, names, login)
                pairs = [(names.live, names.before), (names.scratch, names.live)]
                for _ in swapped(target, permit, pairs, like):
                    yield 0
        yield 1

    def verify() -> list[Finding]:
        return _effects(target, names, seen, facts["oid"], login, swap=swap)

    goes = (
        f"then rename {live} to {names.before} and {names.scratch} to {live}."
        if swap
        else f"and leave it there; {live} stays as it is."
    )
    warnings = [now_there.after_swap] + [f"{expected.sentence(login)}."] * bool(expected)
    return Plan(
        summary=(f"Drop {left}, which is half-made. " if left else "")
        + (f"{kept} stays: it has no mark of opsnb's. " if kept else "")
        + f"Restore {path} into the new database {names.scratch}, compare it, {goes}",
        planned=1,
        unit="databases",
        command="psql $DATABASE_URL < backup.sql",
        undo=_undo(names, swap=swap),
        work=work,
        verify=verify,
        sample=[
            {"fact": "file", "value": str(path)},
            {"fact": "format", "value": archive.format},
            {"fact": "MiB", "value": archive.size / _MIB},
            *([{"fact": "entries", "value": entries}] if entries else []),
            {"fact": "rows", "value": contents.total},
            {"fact": "the live database, MiB", "value": facts["bytes"] / _MIB},
        ],
        bytes=archive.size,
        basis=basis,
        warning=" ".join(warning for warning in warnings if warning),
        terms={
            "file": str(path),
            "names": [names.live, names.scratch, names.before],
            "oid": facts["oid"],
        },
    )


def _usable(target: Target, archive: Archive, live: str, *, swap: bool) -> tuple[Contents, int]:
    """Return what a dump holds, and how many entries it lists. Raises BadAnswer, UsageError."""
    if archive.format != "plain":
        programs.demand_program(target, "pg_restore", of_server=False)
    entries = demand_readable(target, archive)
    contents = contents_of(target, archive)
    with connection(target) as database:
        demand_restorable(database, archive, contents)
    if swap and not contents.total:
        message = f"{archive.path} holds no rows; swapped in it would empty {live}."
        raise BadAnswer(SYSTEM, message)
    return contents, entries


def _leftover(target: Target, names: _Names) -> tuple[str, str]:
    """Return the half-made database of a former attempt: to be dropped, or else to be kept."""
    with connection(target) as database:
        if names.scratch not in _there(database, names):
            return "", ""
        is_ours = is_marked(database, names.scratch)
    return (names.scratch, "") if is_ours else ("", names.scratch)


def _demand_nothing_left_out(seen: _Restored, names: _Names, login: str) -> None:
    parts = [seen.left_out.sentence(login)] if seen.left_out else []
    parts += [f"not carried over: {', '.join(seen.refused)}"] if seen.refused else []
    if parts:
        raise BadAnswer(
            SYSTEM,
            f"Restored, {names.live} would not be whole ({'; '.join(parts)}), so it is not "
            "swapped in. Use a login that may, a superuser, in the target's database url.",
        )


def _is_done(former: ActionRecord, facts: Row, *, swap: bool) -> bool:
    """Whether a restore has come to its end: by its own word, or as the live database is another.

    Both databases are renamed in one transaction, so that it is never half swapped.
    """
    applied = former.state is ActionState.APPLIED or not former.terms
    return applied or (swap and bool(facts["oid"] != former.terms["oid"]))


def _made(target: Target, former: ActionRecord, *, swap: bool) -> Plan:
    """Return the plan for a restore that a continued run has done: nothing is left to do."""

    def verify() -> list[Finding]:
        if not former.terms:  # there was no backup
            return []
        names = _Names(*former.terms["names"])
        seen = _Restored(contents_of(target, Archive(Path(former.terms["file"]))))
        return _effects(target, names, seen, former.terms["oid"], "", swap=swap)

    return Plan.nothing(former.summary, "databases", verify=verify, terms=former.terms)


def _undo(names: _Names, *, swap: bool) -> str:
    if swap:
        return f"rename {names.live} away and {names.before} back to {names.live}"
    return f"DROP DATABASE {quoted(names.scratch)};"


def _nothing(target: Target, folder: str) -> Plan:
    return Plan.nothing(
        f"There is no full backup of {target.name} in {folder_of(folder)}. Name a file with "
        "-p file=...",
        "databases",
        command="psql $DATABASE_URL < backup.sql",
    )


def chosen(target: Target, database: str, file: str, folder: str) -> Path | None:
    """Return the dump that is meant, or None when none is named and there is none."""
    place = folder_of(folder)
    if not file:
        return next(iter(ours(place, target, database, "full")), None)
    given = Path(file).expanduser()
    for path in (given, folder_of(file), place / file):
        if path.is_file() or (path / "toc.dat").is_file():
            return path.resolve()
    beside = (given if given.is_absolute() else place / given).parent
    known = [path.name for path in beside.iterdir()] if beside.is_dir() else []
    known = [name for name in known if not name.startswith(".") and not name.endswith(".sha256")]
    raise UsageError(f"There is no file '{file}' in {beside}." + nearest(given.name, known))


def demand_rights(database: Connection) -> None:
    """Raise BadAnswer when this login may not make databases."""
    row = database.execute(
        "SELECT current_user AS user, (rolcreatedb OR rolsuper) AS creates"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row is not None  # whoever asks has a role
    if not row["creates"]:
        raise BadAnswer(
            SYSTEM,
            f"Login {row['user']} may not make databases, which a restore needs: as superuser, "
            f"ALTER ROLE {quoted(row['user'])} CREATEDB; or use another login in the target's URL.",
        )


def _facts(database: Connection) -> Row:
    """Return the live database's size, and the number that stays with it when it is renamed."""
    row = database.execute(
        "SELECT oid::bigint, pg_database_size(oid) AS bytes FROM pg_database"
        " WHERE datname = current_database()"
    ).fetchone()
    assert row is not None  # the database that one is in exists
    return row


def _effects(  # noqa: PLR0913 - each is part of what was to come about
    target: Target, names: _Names, seen: _Restored, live_oid: int, login: str, *, swap: bool
) -> list[Finding]:
    """Compare the restored database with the backup, and say what it lacks."""
    found = [_effect(target, names, seen, live_oid, swap=swap)]
    parts = [seen.left_out.sentence(login)] if seen.left_out else []
    parts += [f"not carried over: {', '.join(seen.refused)}"] if seen.refused else []
    if parts and found[0].status is not Status.CRIT:
        message = f"{names.scratch} is not in all like {names.live}: {'; '.join(parts)}."
        # The data came back all the same.
        found.append(Finding(status=Status.WARN, message=message, settled=True))
    return found


def _effect(
    target: Target, names: _Names, seen: _Restored, live_oid: int, *, swap: bool
) -> Finding:
    with connection(target) as database:
        there = _there(database, names)
        former = _named_now(database, live_oid)
    place, other = (names.live, former) if swap else (names.scratch, names.live)
    if swap and former == names.live:
        message = f"{names.live} is the database that it was: nothing was swapped."
        return Finding(status=Status.CRIT, message=message)
    if place not in there:
        message = f"There is no database {place}: the restore did not come to its end."
        return Finding(status=Status.CRIT, message=message)
    if seen.contents is None:
        message = f"{place} was not compared with the backup: the restore did not come to its end."
        return Finding(status=Status.CRIT, message=message)
    held = seen.contents.rows
    restored = counts(target, place, held, seen.restored)
    beside = counts(target, other) if other else {}
    rows: list[Row] = [
        {
            "table": "large objects" if key == LARGE_OBJECTS else ".".join(key),
            "in_the_backup": held.get(key),
            "restored": restored.get(key),
            "old_database" if swap else "live_now": beside.get(key),
        }
        for key in sorted({*held, *restored, *beside})
    ]
    missing = missing_tables(target, place, seen.contents)
    if swap:
        # The service writes to it already, so that its numbers move on from the backup's.
        good = names.scratch not in there and set(held) <= set(restored) and not missing
    else:
        good = all(restored.get(key, count) == count for key, count in held.items()) and not missing
    if not good:
        message = f"{place} does not hold what the backup holds; look at the rows that differ."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    return _told(names, seen.contents, former, rows, swap=swap)


def _told(
    names: _Names, contents: Contents, former: str, rows: list[Row], *, swap: bool
) -> Finding:
    """Return the finding for a restored database that holds what the backup does."""
    if swap:
        old = (
            f"the old one is kept as {former}. When all is well: DROP DATABASE {quoted(former)};"
            if former
            else "the old one is gone."
        )
        message = f"{names.live} is the restored database now, with {contents.words}; {old}"
        return Finding(status=Status.OK, message=message, rows=rows)
    end = f"{names.live} was left alone. Swap it in with -p swap=true, or drop it."
    if contents.total:
        message = f"{names.scratch} holds the backup's {contents.words}; {end}"
        return Finding(status=Status.OK, message=message, rows=rows)
    if contents.tables and not contents.rows:
        tables = counted(len(contents.tables), "table")
        message = f"{names.scratch} has the {tables} of a backup of the schema alone; {end}"
        return Finding(status=Status.OK, message=message, rows=rows)
    message = f"The backup holds no rows, so nothing was compared; {end}"
    return Finding(status=Status.UNKNOWN, message=message, rows=rows)


def _named_now(database: Connection, oid: int) -> str:
    """Return the name that a database has now, empty when it is gone."""
    row = database.execute("SELECT datname FROM pg_database WHERE oid = %s", [oid]).fetchone()
    return str(row["datname"]) if row else ""


def _there(database: Connection, names: _Names) -> set[str]:
    rows = database.execute(
        "SELECT datname FROM pg_database WHERE datname = ANY(%s)",
        [[names.live, names.scratch, names.before]],
    )
    return {row["datname"] for row in rows}


def _unused(target: Target, live: str) -> _Names:
    """Return names that no database has: two restores of one second must not meet."""
    while True:
        stamp = now().strftime(STAMP)
        names = _Names(live, named(live, "restore", stamp), named(live, "before", stamp))
        with connection(target) as database:
            if _there(database, names) <= {live}:
                return names
        time.sleep(0.2)
