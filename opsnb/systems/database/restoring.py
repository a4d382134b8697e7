"""Restoring a dump: into a scratch database, compared, and only then swapped in by renaming."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from opsnb.errors import BadAnswer, UsageError
from opsnb.guard import Permit, Plan, action, require
from opsnb.model import ActionRecord, ActionState, Finding, Row, Status, now
from opsnb.systems.database import programs
from opsnb.systems.database.access import (
    LOCK_WAIT_S,
    SYSTEM,
    Connection,
    connection,
    demand_primary,
    identity,
    session,
)
from opsnb.systems.database.archives import (
    STAMP,
    Archive,
    demand_readable,
    demand_whole,
    file_errors,
    folder_of,
    ours,
    rows_in,
)
from opsnb.systems.database.commands import run_while
from opsnb.systems.database.dumping import FOLDER
from opsnb.systems.database.relations import nearest
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
_MAINTENANCE = ("postgres", "template1")


@dataclass(frozen=True)
class _Names:
    """The databases of one restore."""

    live: str
    scratch: str
    before: str


@action(needs=(SYSTEM,), resumable=True)
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
    damaged or this login may not make databases.
    """
    with connection(target) as database:
        demand_primary(target, database)
        live = database.info.dbname
        demand_rights(database, live, swap=swap)
        copied = likeness(database)
        basis: list[object] = [identity(database), swap]
        facts = _facts(database)
    left = ""
    if former:
        if _is_done(former, facts, swap=swap):
            return _made(target, former, swap=swap)
        names = _Names(*former.terms["names"])
        left = names.scratch if names.scratch in _there(target, names) else ""
        file = former.terms["file"]
    path = chosen(target, live, file, folder)
    if path is None:
        return _nothing(target, folder)
    archive = Archive(path)
    programs.demand_program(target, "pg_restore" if archive.format == "custom" else "psql")
    entries = demand_readable(target, archive)
    with file_errors(path):
        basis += [str(path), path.stat().st_size, path.stat().st_mtime_ns]
    names = _unused(target, live)
    compared: list[Rows] = []

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        if left:
            drop(target, permit, left)
        demand_whole(target, archive)
        yield 0
        held = rows_in(target, archive)
        if swap and not held:
            raise BadAnswer(SYSTEM, f"{path} holds no rows; swapped in it would empty {live}.")
        with scratch(target, permit, names.scratch, copied):
            for _ in filled(target, permit, archive, names.scratch):
                yield 0
            compared.append(held)
            demand_equal(held, counts(target, names.scratch))
            if swap:
                for _ in _swapped(target, permit, names):
                    yield 0
        yield 1

    def verify() -> list[Finding]:
        return [_effect(target, names, compared[0] if compared else {}, swap=swap)]

    goes = (
        f"then rename {live} to {names.before} and {names.scratch} to {live}."
        if swap
        else f"and leave it there; {live} stays as it is."
    )
    return Plan(
        summary=(f"Drop {left}, which is half-made. " if left else "")
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
            {"fact": "MiB", "value": path.stat().st_size / _MIB},
            *([{"fact": "entries", "value": entries}] if entries else []),
            {"fact": "the live database, MiB", "value": facts["bytes"] / _MIB},
        ],
        bytes=path.stat().st_size,
        basis=basis,
        warning="Every session of the live database is ended and requests fail for a moment; what "
        "was written since the backup is in the old database alone."
        if swap
        else "",
        terms={
            "file": str(path),
            "names": [names.live, names.scratch, names.before],
            "oid": facts["oid"],
        },
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
        held = rows_in(target, Archive(Path(former.terms["file"])))
        return [_effect(target, names, held, swap=swap)]

    return Plan(
        summary=former.summary,
        planned=0,
        unit="databases",
        command="psql $DATABASE_URL < backup.sql",
        undo=former.undo,
        work=lambda _: iter(()),
        verify=verify,
        terms=former.terms,
    )


def _undo(names: _Names, *, swap: bool) -> str:
    if swap:
        return f"rename {names.live} away and {names.before} back to {names.live}"
    return f"DROP DATABASE {quoted(names.scratch)};"


def _nothing(target: Target, folder: str) -> Plan:
    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        yield 0

    return Plan(
        summary=f"There is no full backup of {target.name} in {folder_of(folder)}: nothing to "
        "restore. Name a file with -p file=...",
        planned=0,
        unit="databases",
        command="psql $DATABASE_URL < backup.sql",
        undo="",
        work=work,
        verify=list,
    )


def chosen(target: Target, database: str, file: str, folder: str) -> Path | None:
    """Return the dump that is meant, or None when none is named and there is none."""
    place = folder_of(folder)
    if not file:
        return next(iter(ours(place, target, database, "full")), None)
    given = Path(file).expanduser()
    for path in (given, folder_of(file), place / file):
        if path.is_file():
            return path.resolve()
    beside = (given if given.is_absolute() else place / given).parent
    known = [path.name for path in beside.iterdir()] if beside.is_dir() else []
    known = [name for name in known if not name.startswith(".") and not name.endswith(".sha256")]
    raise UsageError(f"There is no file '{file}' in {beside}." + nearest(given.name, known))


def demand_rights(database: Connection, live: str, *, swap: bool = False) -> None:
    """Raise BadAnswer when this login may not make databases, or with `swap` not rename `live`."""
    row = database.execute(
        "SELECT current_user AS user, (rolcreatedb OR rolsuper) AS creates,"
        " (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database"
        " WHERE datname = current_database()) AS owns"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row is not None  # whoever asks has a role
    if not row["creates"]:
        raise BadAnswer(
            SYSTEM,
            f"Login {row['user']} may not make databases, which a restore needs: as superuser, "
            f"ALTER ROLE {row['user']} CREATEDB; or use another login in the target's URL.",
        )
    if swap and not row["owns"]:
        message = f"Login {row['user']} does not own {live}, so it cannot rename it; use its owner."
        raise BadAnswer(SYSTEM, message)
    if swap and live in _MAINTENANCE:
        raise UsageError(f"{live} is PostgreSQL's own database and is not swapped.")


def _facts(database: Connection) -> Row:
    """Return the live database's size, and the number that stays with it when it is renamed."""
    row = database.execute(
        "SELECT oid::bigint, pg_database_size(oid) AS bytes FROM pg_database"
        " WHERE datname = current_database()"
    ).fetchone()
    assert row is not None  # the database that one is in exists
    return row


def _swapped(target: Target, permit: Permit, names: _Names) -> Iterator[None]:
    """Rename the live database away and the scratch one to its name, both or neither.

    The rename locks the live database, so that newcomers wait, and goes on when the last session
    has ended; these are ended from a second connection. The service then connects to the new one.
    """
    steps = ((names.live, names.before), (names.scratch, names.live))
    with (
        session(target, permit, database=_maintenance(target), lock_wait_s=LOCK_WAIT_S) as server,
        session(target, permit, database=_maintenance(target)) as ending,
    ):

        def end_sessions() -> None:
            ending.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
                [[names.live, names.scratch]],
            )

        server.execute("BEGIN")
        for old, new in steps:
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(old), sql.Identifier(new)
            )
            yield from run_while(server, rename, end_sessions)
        server.execute("COMMIT")


def _maintenance(target: Target) -> str:
    """Return a database to be in while the live one is renamed."""
    with connection(target) as database:
        rows = database.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND datname = ANY(%s)"
            " AND has_database_privilege(oid, 'CONNECT') ORDER BY 1",
            [list(_MAINTENANCE)],
        ).fetchall()
    if not rows:
        raise BadAnswer(SYSTEM, "There is no database postgres or template1 to rename from.")
    return str(rows[0]["datname"])


def _effect(target: Target, names: _Names, held: Rows, *, swap: bool) -> Finding:
    """Compare the restored database with the backup, and show the live one beside it."""
    place, other = (names.live, names.before) if swap else (names.scratch, names.live)
    there = _there(target, names)
    if place not in there:
        message = f"There is no database {place}: the restore did not come to its end."
        return Finding(status=Status.CRIT, message=message)
    restored = counts(target, place)
    beside = counts(target, other) if other in there else {}
    rows: list[Row] = [
        {
            "table": f"{schema}.{name}",
            "in_the_backup": held.get((schema, name)),
            "restored": restored.get((schema, name)),
            "old_database" if swap else "live_now": beside.get((schema, name)),
        }
        for schema, name in sorted({*held, *restored, *beside})
    ]
    if swap:
        message = (
            f"{names.live} is the restored database now, with {counted(len(restored), 'table')}; "
            + (
                f"the old one is kept as {names.before}. When all is well: "
                f"DROP DATABASE {quoted(names.before)};"
                if other in there
                else f"the old one, {names.before}, is gone."
            )
        )
        # The service writes to it already, so that its numbers move on from the backup's.
        good = names.scratch not in there and set(held) <= set(restored)
    else:
        message = (
            f"{names.scratch} holds the backup's {counted(sum(held.values()), 'row')} in "
            f"{counted(len(held), 'table')}; {names.live} was left alone. "
            "Swap it in with -p swap=true, or drop it."
        )
        good = all(restored.get(key) == count for key, count in held.items())
    if not good:
        message = f"{place} does not hold what the backup holds; look at the rows that differ."
    return Finding(status=Status.OK if good else Status.CRIT, message=message, rows=rows)


def _there(target: Target, names: _Names) -> set[str]:
    with connection(target) as database:
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
        if _there(target, names) <= {live}:
            return names
        time.sleep(0.2)
