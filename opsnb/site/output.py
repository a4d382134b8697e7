"""The folder that a site is built into: kept up to date in place, file by file.

A manifest says which files there are and what each was made from, so that a build writes only what
is new. A file is written aside and renamed. Its row leaves the manifest before that and returns
after it, so whatever a killed build leaves, the next one takes the file for unknown and writes it
again. Files that the manifest does not name are removed. Names that begin with a dot are left
alone, such as those of git.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from opsnb.errors import Locked, UsageError

MANIFEST = ".opsnb-site"
"""It also marks a folder as a site of opsnb, which may be changed."""
_LOCK = ".opsnb-lock"
_ASIDE = ".opsnb-aside"
_SCHEMA = Path(__file__).with_name("manifest.sql")
_VERSION = 1
_AT_ONCE = 200
"""Files that are written between two commits."""
_WAIT_S = 600.0
"""How long a build waits for another one that is writing the same site."""


class File(NamedTuple):
    """One file of the site."""

    path: str
    """From the site's root, with slashes."""
    made_from: str
    """A digest of everything that its content depends on."""
    content: Callable[[], bytes]
    """Called only when the file is not there, or was made from something else."""


@contextmanager
def opened(folder: Path, say: Callable[[str], None]) -> Iterator[Output]:
    """Yield the output `folder`, locked; it need not exist yet.

    Raises UsageError when it contains something else, Locked when another build does not finish in
    time, OSError when it cannot be written.
    """
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another build is writing {folder}; waiting for it")
        try:
            lock.acquire(timeout=_WAIT_S)
        except Timeout:
            raise Locked(
                f"Another build is still writing {folder}. Run it again when that one has finished."
            ) from None
    try:
        with closing(_manifest(folder / MANIFEST)) as manifest:
            yield Output(folder, manifest)
    finally:
        shutil.rmtree(folder / _ASIDE, ignore_errors=True)
        lock.release()


def _refuse_foreign(folder: Path) -> None:
    if (folder / MANIFEST).exists() or not folder.exists():
        return
    if not folder.is_dir() or any(path.name != _LOCK for path in folder.iterdir()):
        raise UsageError(
            f"{folder} contains something other than a site of opsnb. Use another folder, or empty "
            "it."
        )


def forget(folder: Path) -> None:
    """Throw the manifest of a site away, so that the next build writes every file again."""
    for name in (f"{MANIFEST}-journal", MANIFEST):
        (folder / name).unlink(missing_ok=True)
    (folder / MANIFEST).touch()  # the folder is still a site


def _manifest(path: Path) -> sqlite3.Connection:
    """Open the manifest; a damaged one, or one of another version, is made again."""
    try:
        return _connected(path)
    except sqlite3.OperationalError:  # it is not damaged: the disk is full, or the like
        raise
    except sqlite3.DatabaseError:
        forget(path.parent)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    manifest = sqlite3.connect(path)
    try:
        (version,) = manifest.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("another version")
        manifest.executescript(_SCHEMA.read_text(encoding="utf-8"))
        manifest.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        manifest.close()
        raise
    return manifest


class Output:
    """A site's folder, as long as it is locked."""

    def __init__(self, folder: Path, manifest: sqlite3.Connection) -> None:
        self.folder = folder
        self._manifest = manifest
        self._on_disk = dict(_files(folder))
        self._kept: set[str] = set()
        shutil.rmtree(folder / _ASIDE, ignore_errors=True)
        self.aside = folder / _ASIDE
        """A folder on the same file system, removed at the end."""
        self.aside.mkdir()

    def update(self, part: str, files: Iterable[File]) -> int:
        """Make `files` the files of a part of the site; return how many were written.

        Those that are there already, made from the same, are not touched.
        """
        known = self.known(part)
        written = 0
        waiting = (file for file in self._wanted(files) if known.get(file.path) != file.made_from)
        while batch := list(islice(waiting, _AT_ONCE)):
            self._write(part, batch)
            written += len(batch)
        return written

    def made_from(self, part: str) -> str | None:
        """Return what a part was made from, if it is complete and whole on the disk."""
        row = self._manifest.execute(
            "SELECT made_from, files FROM parts WHERE part = ?", [part]
        ).fetchone()
        return row[0] if row and row[1] == len(self.known(part)) else None

    def complete(self, part: str, made_from: str | None) -> None:
        """Note what a part was made from, all files of which are updated; None before that."""
        with self._manifest:
            self._manifest.execute("DELETE FROM parts WHERE part = ?", [part])
            if made_from is not None:
                # Without those of an earlier build, which `sweep` removes.
                files = len(self.known(part).keys() & self._kept)
                self._manifest.execute(
                    "INSERT INTO parts VALUES (?, ?, ?)", [part, made_from, files]
                )

    def sweep(self) -> None:
        """Remove every file that no part of this build has, and folders that are empty then."""
        strays = self._on_disk.keys() - self._kept
        for path in strays:
            # A folder may be in its place by now, or a file in the place of its folder.
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                (self.folder / path).unlink()
        with self._manifest:
            gone = self._recorded() - self._kept
            self._manifest.executemany("DELETE FROM files WHERE path = ?", [(p,) for p in gone])
        for folder in sorted({parent for p in strays for parent in Path(p).parents}, reverse=True):
            with suppress(OSError):  # it is not empty
                if folder != Path():
                    (self.folder / folder).rmdir()

    def _recorded(self) -> set[str]:
        return {path for (path,) in self._manifest.execute("SELECT path FROM files")}

    def known(self, part: str) -> Mapping[str, str]:
        """Return by path what the files of a part were made from that are whole on the disk."""
        rows = self._manifest.execute(
            "SELECT path, made_from, size FROM files WHERE part = ?", [part]
        )
        return {
            path: made_from for path, made_from, size in rows if self._on_disk.get(path) == size
        }

    def _wanted(self, files: Iterable[File]) -> Iterator[File]:
        for file in files:
            self._kept.add(file.path)
            yield file

    def _write(self, part: str, files: list[File]) -> None:
        with self._manifest:
            self._manifest.executemany(
                "DELETE FROM files WHERE path = ?", [(file.path,) for file in files]
            )
        rows = [(file.path, part, file.made_from, self._put(file)) for file in files]
        with self._manifest:
            self._manifest.executemany("INSERT INTO files VALUES (?, ?, ?, ?)", rows)

    def _put(self, file: File) -> int:
        """Write a file unless it has the same content; return its size."""
        data, path = file.content(), self.folder / file.path
        if self._on_disk.get(file.path) == len(data) and path.read_bytes() == data:
            return len(data)
        aside = self.aside / "file"
        aside.write_bytes(data)
        try:
            aside.replace(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            _make_room(self.folder, path)
            aside.replace(path)
        self._on_disk[file.path] = len(data)
        return len(data)


def _make_room(root: Path, path: Path) -> None:
    """Create the folder of `path`, in place of whatever is in the way."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    for folder in reversed([each for each in path.parents if each.is_relative_to(root)]):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            folder.unlink()
        folder.mkdir(exist_ok=True)


def _files(root: Path, folder: str = "") -> Iterator[tuple[str, int]]:
    """Yield the path and size of each file; -1 for what is no regular file."""
    with os.scandir(root / folder) as entries:
        for entry in entries:
            path = f"{folder}{entry.name}"
            if not folder and entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(root, f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                yield path, entry.stat(follow_symlinks=False).st_size
            else:
                yield path, -1
