"""The names of backups: which target, database and kind they are of, and when they were begun."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from opsnb.config.places import find_config
from opsnb.errors import UsageError
from opsnb.params import BackupFormat, BackupWhat
from opsnb.systems.database.dumps.archives import file_errors
from opsnb.systems.database.relations import nearest

STAMP = "%Y%m%dT%H%M%SZ"
"""The time of a backup, in its name."""

_SUFFIX = {"custom": ".dump", "plain": ".sql.gz"}


def folder_of(folder: str) -> Path:
    """Return the folder for dumps: absolute, or relative to `opsnb.toml` as the record store is."""
    config = find_config()
    base = config.parent if config else Path.cwd()
    return (base / Path(folder).expanduser()).resolve()


def name_for(target: str, database: str, what: BackupWhat, kind: BackupFormat, at: datetime) -> str:
    """Return the name of a new backup of the target `target`. Names sort by time."""
    return f"{_stem(target, database, what)}{at.strftime(STAMP)}{_SUFFIX[kind]}"


def ours(folder: Path, target: str, database: str, what: BackupWhat) -> list[Path]:
    """Return the backups in `folder` that have names as `name_for` makes them, newest first."""
    pattern = re.compile(
        re.escape(_stem(target, database, what)) + r"\d{8}T\d{6}Z(\.dump|\.sql\.gz)"
    )
    if not folder.is_dir():
        return []
    with file_errors(folder):
        found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
    return sorted(found, key=taken, reverse=True)


def taken(path: Path) -> datetime:
    """Return when a backup was begun, by its name."""
    stamp = path.name.rpartition("-")[2].split(".")[0]
    return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)


def _stem(target: str, database: str, what: BackupWhat) -> str:
    # A database may have any name, a file may not.
    return f"{target}-{quote(database, safe='')}-{what}-"


def chosen(folder: Path, target: str, database: str, file: str) -> Path | None:
    """Return the dump `file`, or else the newest full backup; None if there is none.

    Raises UsageError if there is no such file.
    """
    if not file:
        return next(iter(ours(folder, target, database, "full")), None)
    given = Path(file).expanduser()
    for path in (given, folder_of(file), folder / file):
        if path.is_file() or (path / "toc.dat").is_file():
            return path.resolve()
    beside = (given if given.is_absolute() else folder / given).parent
    known = [path.name for path in beside.iterdir()] if beside.is_dir() else []
    known = [name for name in known if not name.startswith(".") and not name.endswith(".sha256")]
    raise UsageError(f"There is no file '{file}' in {beside}." + nearest(given.name, known))
