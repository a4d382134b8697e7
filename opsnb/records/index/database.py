"""A SQLite file that holds nothing of its own, so that any trouble with it is solved without it.

It lies in the user's cache folder, else in the folder for temporary files, else in memory. Several
processes use one file. A damaged one is left for a new one with another name: the old name is never
used again, so what a process that still has it open writes beside it (`-wal`, `-shm`) cannot be
taken for a part of the new one. The name has the host in it, as a home folder may be shared by
machines, which cannot share a write-ahead log.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from opsnb.config.places import cache_home
from opsnb.errors import OpsnbError
from opsnb.machine import private_files

_T = TypeVar("_T")
_BUSY_S = 20.0
_ABANDONED_AFTER_S = 60 * 86_400.0
_SUFFIX = ".sqlite3"
_FOLDER = Path(__file__).parent / "sql"
# Of the file system, or of another process: a new file in the same folder would not help.
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SCHEMA_VERSION = 1
_SCHEMA = "SELECT name, sql FROM sqlite_schema ORDER BY name"


@cache
def statement(name: str, folder: Path = _FOLDER) -> str:
    """Return the SQL in `folder`/NAME.sql."""
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


class Database:
    """The file of one store, found or made when it is first used."""

    def __init__(self, key: str) -> None:
        """Use the file for `key`; a file of another schema or host is another one."""
        facts = (key, platform.node(), statement("schema"))
        self._digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]
        self._folders = iter((_cache_folder, _temporary_folder))
        self._memory: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self.path: Path | None = None
        """The file in use; None before the first use, and in memory."""

    def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` returns, given a connection in autocommit mode.

        When the file is damaged or fails meanwhile, `work` is done again from its beginning in
        another one, which is empty at first: `path` has changed then. It must leave no transaction
        open. An error in its own SQL is raised as it is.
        """
        with self._lock:
            while True:
                if self._memory is None and self.path is None:
                    self._settle()
                if self._memory is not None:
                    return work(self._memory)
                try:
                    with closing(_connected(self.path)) as connection:
                        _demand_schema(connection)
                        return work(connection)
                except sqlite3.Error as error:
                    self._leave(error)

    def discard(self) -> None:
        """Begin again with an empty database."""
        if self._memory is not None:
            self._memory.close()
            self._memory = _in_memory()
        else:
            if self.path is None:
                self._settle()
            self._replace()

    def _settle(self) -> None:
        """Take the newest file of the next folder that can have one, else work in memory."""
        for folder in self._folders:
            with suppress(OSError, OpsnbError, sqlite3.Error):
                place = folder()
                known = sorted(place.glob(f"{self._digest}.*{_SUFFIX}"))
                self.path = known[-1] if known else self._made(place)
                return
        self.path, self._memory = None, _in_memory()

    def _leave(self, error: sqlite3.Error) -> None:
        """Leave the file that failed with `error`; raise it when the file is in order."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _UNAVAILABLE:
            self._settle()
        elif code in _DAMAGED or not _is_whole(self.path):
            self._replace()
        else:
            raise error

    def _replace(self) -> None:
        """Replace a damaged file by a new one, in the next folder if this one takes none."""
        damaged = self.path
        if damaged is None:
            return
        try:
            self.path = self._made(damaged.parent)
        except (OSError, sqlite3.Error):
            self._settle()
        for left in damaged.parent.glob(f"{damaged.name}*"):
            with suppress(OSError):
                left.unlink()

    def _made(self, folder: Path) -> Path:
        """Make an empty database in `folder`. Raises OSError, sqlite3.Error."""
        _sweep(folder)
        aside = folder / f".{secrets.token_hex(8)}{_SUFFIX}"
        # Digits enough for names to sort by time.
        path = folder / f"{self._digest}.{time.time_ns():020d}{_SUFFIX}"
        try:
            os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private_files.FILE))
            with closing(_connected(aside)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(statement("schema"))
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
        return path


def _connected(path: Path | None) -> sqlite3.Connection:
    # `rw`: a file that was removed is not made again empty.
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY_S, isolation_level=None
    )
    return _prepared(connection)


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(statement("schema"))
    return _prepared(connection)


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    for setting in ("foreign_keys = ON", "synchronous = NORMAL", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _demand_schema(connection: sqlite3.Connection) -> None:
    """Raise DatabaseError when the schema is not there, as in a file that was cut to nothing."""
    if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
        raise sqlite3.DatabaseError("the schema is missing")


def _is_whole(path: Path | None) -> bool:
    """Return whether the file has the schema that it was made with."""
    try:
        with closing(_connected(path)) as connection, closing(_in_memory()) as empty:
            _demand_schema(connection)
            return _schema(connection) == _schema(empty)
    except sqlite3.Error:
        return False


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return [(row["name"], row["sql"]) for row in connection.execute(_SCHEMA)]


def _cache_folder() -> Path:
    return private_files.folder(cache_home() / "records")


def _temporary_folder() -> Path:
    """Make a folder for this user alone. Raises OSError when another user made it."""
    folder = Path(tempfile.gettempdir(), f"opsnb-{os.geteuid()}", "records")
    for each in (folder.parent, folder):
        with suppress(FileExistsError):
            each.mkdir(mode=private_files.FOLDER)
        state = each.lstat()
        if state.st_uid != os.geteuid() or state.st_mode & 0o170077 != 0o040000:
            raise PermissionError(f"{each} is not a folder of this user alone")
    return folder


def _sweep(folder: Path) -> None:
    """Remove what nobody has used for a long time: stores, hosts or versions that are gone."""
    for left in _old(folder):
        with suppress(OSError):
            left.unlink()


def _old(folder: Path) -> Iterator[Path]:
    for path in folder.glob(f"*{_SUFFIX}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                yield path
