"""Backups: pg_dump into a file that appears complete or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.model import ActionRecord, ActionState, Finding, Row, Status, now
from opsnb.params import BackupFormat, BackupWhat
from opsnb.redaction import outside
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import LOCK_WAIT_S, connection
from opsnb.systems.database.dumps.archives import Archive, checksum_path, demand_whole, file_errors
from opsnb.systems.database.dumps.names import folder_of, name_for, ours, taken
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.pooler import direct
from opsnb.systems.database.programs import Program
from opsnb.systems.database.server import identity, major_version, name_of
from opsnb.view.formats import MIB, counted
from opsnb.view.terminal import visible

FOLDER = "backups"
KEEP = 7

_REPORT_EVERY_S = 5.0
_STALE_S = 24 * 3600


def backups(target: Target, folder: str = FOLDER) -> list[Row]:
    """Existing backups"""
    with connection(target) as database:
        home = name_of(database)
    place = folder_of(folder)
    return [
        {
            "file": str(path),
            "what": what,
            "mib": path.stat().st_size / MIB,
            "taken": f"{taken(path):%Y-%m-%d %H:%M}",
            "hours_old": (now() - taken(path)).total_seconds() / 3600,
            "checksum": checksum_path(path).exists(),
        }
        for what in ("full", "schema")
        for path in ours(place, target.name, home, what)
    ]


@action(needs=(SYSTEM,))
def backup(  # noqa: PLR0913 - the parameters of a backup
    target: Target,
    former: ActionRecord | None,
    what: BackupWhat = "full",
    *,
    format: BackupFormat = "custom",
    folder: str = FOLDER,
    keep: int = KEEP,
    lock_wait_s: float = LOCK_WAIT_S,
) -> Plan:
    """Back the database up.

    The newest `keep` backups of the same kind stay, or all if it is 0; only files with names as
    this action gives them are removed. Raises Refused if pg_dump is missing or older than the
    server, or if there is less space than the database takes.
    """
    restorer = Program(target, "pg_restore")
    begun = Archive(Path(former.terms["file"]), restorer) if former else None
    if begun and (begun.path.exists() or (former and former.state is ActionState.APPLIED)):
        return _done(begun)  # a file with a backup's name is complete
    target = direct(target)
    dumper = Program(target, "pg_dump")
    place = folder_of(folder)
    with connection(target) as database:
        dumper.demand(major_version(database))
        home = database.info.dbname
        basis = (identity(database), str(place))
        size = queries.row(database, "database_size")["bytes"]
    if what == "full":
        _demand_room(place, size)
    archive = Archive(_unused(place, target.name, home, what, format), restorer)
    outdated = ours(place, target.name, home, what)[keep - 1 :] if keep else []
    stale = _stale(place, target.name)
    # The rest of an interrupted backup is removed first: the new one may get its name.
    partial = [_aside(begun.path), begun.path] if begun else []
    took: list[float] = []

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        clock = time.perf_counter()
        with file_errors(place):
            for left in partial:
                _remove(left)
            for _ in _dump(dumper, archive, what, format, lock_wait_s):
                yield 0
            took.append(time.perf_counter() - clock)
            yield 1
            for old in [*outdated, *stale]:
                _remove(old)

    def verify() -> list[Finding]:
        return [_effect(archive, took)]

    words = "all of" if what == "full" else "the schema of"
    removed = f" Remove {counted(len(outdated), 'older one')}." if outdated else ""
    return Plan(
        summary=f"Dump {words} {home} to {archive.path}.{removed}",
        planned=1,
        unit="backups",
        command=_command(what, format),
        undo=f"remove {archive.path}" + ("; removed backups stay lost" if outdated else ""),
        work=work,
        verify=verify,
        sample=[{"file": str(archive.path), "plan": "make"}]
        + [{"file": str(path), "plan": "remove: older"} for path in outdated]
        + [{"file": str(path), "plan": "remove: incomplete and old"} for path in stale]
        + [{"file": str(path), "plan": "remove: incomplete"} for path in partial[:1]],
        bytes=size,
        basis=basis,
        terms={"file": str(archive.path)},
    )


def _done(archive: Archive) -> Plan:
    """Return the plan for a backup that the interrupted run has made: nothing is left to do."""
    return Plan.nothing(
        f"{archive.path} exists.",
        "backups",
        undo=f"remove {archive.path}",
        verify=lambda: [_effect(archive, [])],
        terms={"file": str(archive.path)},
    )


def _command(what: BackupWhat, kind: BackupFormat) -> str:
    if what == "schema":
        return "pg_dump --schema-only $DATABASE_URL > schema_backup.sql"
    packed = "pg_dump $DATABASE_URL | gzip > backup_$(date +%Y%m%d_%H%M%S).sql.gz"
    return packed if kind == "plain" else "pg_dump -Fc $DATABASE_URL > backup.dump"


def _demand_room(place: Path, size: int) -> None:
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    with file_errors(there):
        free = shutil.disk_usage(there).free
    if free < size:
        raise Refused(
            f"The database takes {size / MIB:,.0f} MiB and {place} has {free / MIB:,.0f} MiB "
            "free: make room, or name another folder (-p folder=...)."
        )


def _unused(place: Path, target: str, database: str, what: BackupWhat, kind: BackupFormat) -> Path:
    """Return a path that does not exist: two backups may begin in the same second."""
    path = place / name_for(target, database, what, kind, now())
    while path.exists():
        time.sleep(0.2)
        path = place / name_for(target, database, what, kind, now())
    return path


def _stale(place: Path, target: str) -> list[Path]:
    """Return files of interrupted backups of this target, too old to be still in progress."""
    if not place.is_dir():
        return []
    with file_errors(place):
        return [
            path
            for path in place.glob(f".{target}-*.part")
            if time.time() - path.stat().st_mtime > _STALE_S
        ]


def _dump(
    dumper: Program, archive: Archive, what: BackupWhat, kind: BackupFormat, lock_wait_s: float
) -> Iterator[None]:
    """Write the dump under another name, read it back, then give it its name."""
    place = archive.path.parent
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = Archive(_aside(archive.path), archive.restorer)
    try:
        # Created before pg_dump writes it, so that nobody else can ever read it.
        os.close(os.open(aside.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        arguments = [
            "--no-password",
            f"--format={kind}",
            f"--lock-wait-timeout={round(lock_wait_s * 1000)}",
            f"--file={aside.path}",
            *(["--compress=6"] if kind == "plain" else []),
            *(["--schema-only"] if what == "schema" else []),
        ]
        reported = time.monotonic()
        for _ in dumper.run(arguments):
            if time.monotonic() - reported > _REPORT_EVERY_S:
                reported = time.monotonic()
                print(visible(f"pg_dump: {aside.path.stat().st_size / MIB:,.0f} MiB"))  # noqa: T201
            yield
        demand_whole(aside)
        _synced(aside.path)
        digest = aside.sha256()
        aside.checksum_path.write_text(f"{digest}  {archive.path.name}\n", encoding="utf-8")
        _synced(aside.checksum_path)
        aside.checksum_path.rename(archive.checksum_path)
        aside.path.rename(archive.path)
        _synced(place)
    finally:
        aside.path.unlink(missing_ok=True)
        aside.checksum_path.unlink(missing_ok=True)
        if not archive.path.exists():
            archive.checksum_path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    checksum_path(path).unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """Return the file in which a backup is written before it gets its name."""
    return path.with_name(f".{path.name}.part")


def _synced(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _effect(archive: Archive, took: list[float]) -> Finding:
    """Return whether the backup can be read from its first to its last byte."""
    if not archive.path.exists():
        return Finding(status=Status.CRIT, message=f"{archive.path} does not exist.")
    demand_whole(archive)
    size, digest = archive.path.stat().st_size, archive.sha256()
    rows: list[Row] = [
        {"fact": "file", "value": str(archive.path)},
        {"fact": "bytes", "value": size},
        {"fact": "seconds", "value": took[0] if took else None},
        {"fact": "sha256", "value": digest},
    ]
    made = f", made in {took[0]:.1f} s" if took else ""
    message = (
        f"{archive.path.name} was read back completely: {size / MIB:,.2f} MiB{made}, "
        f"sha256 {outside.head(digest, 12)}..."
    )
    return Finding(status=Status.OK, message=message, value=size / MIB, unit="MiB", rows=rows)
