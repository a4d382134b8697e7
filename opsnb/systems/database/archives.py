"""Dumps as files: their names, whether they are whole, and how many rows they hold."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Literal, cast
from urllib.parse import quote

from opsnb.config.places import find_config
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.systems.database import programs
from opsnb.systems.database.access import SYSTEM
from opsnb.systems.database.contents import Contents, Unsafe, inspect
from opsnb.systems.database.lexing import NotSql

What = Literal["full", "schema"]
Format = Literal["custom", "plain"]
"""What a backup is made as."""
Kind = Literal["custom", "directory", "tar", "plain"]
"""What a dump may be."""

_SUFFIX = {"custom": ".dump", "plain": ".sql.gz"}
_CUSTOM_MAGIC = b"PGDMP"
_TAR_FIRST = b"toc.dat"
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_HEADER = re.compile(rb"PostgreSQL database (?:cluster )?dump")
_COMPLETE = re.compile(rb"PostgreSQL database (?:cluster )?dump complete")
_TAIL = 4096
_CHUNK = 2**20
_NEWER = "unsupported version"

STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Archive:
    """A dump on this machine."""

    path: Path

    @cached_property
    def format(self) -> Kind:
        """Its format, by what is in it rather than by its name."""
        if self.path.is_dir():
            return "directory"
        head = self._head
        if head.startswith(_CUSTOM_MAGIC):
            return "custom"
        return "tar" if head.startswith(_TAR_FIRST + b"\0") else "plain"

    @cached_property
    def _head(self) -> bytes:
        with file_errors(self.path), self.path.open("rb") as file:
            return file.read(16)

    @property
    def checksum_path(self) -> Path:
        """The file beside it that `sha256sum -c` reads."""
        return self.path.with_name(self.path.name + ".sha256")

    @property
    def size(self) -> int:
        """Its size in bytes."""
        files = self.path.iterdir() if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files)

    def signature(self) -> tuple[object, ...]:
        """Return what changes when the dump does, without reading it."""
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        with file_errors(self.path):
            stats = [file.stat() for file in files]
        return (str(self.path), *((s.st_ino, s.st_size, s.st_mtime_ns) for s in stats))

    def sha256(self) -> str:
        """Return the checksum of the file as it is now."""
        with file_errors(self.path), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def text(self, target: Target) -> Iterator[bytes]:
        """Yield the dump as SQL text, piece by piece. Raises BadAnswer when it is damaged."""
        if self.format == "plain":
            with file_errors(self.path):
                yield from self.chunks()
        else:
            yield from programs.chunks(target, "pg_restore", ("--file=-", self.path))

    def chunks(self) -> Iterator[bytes]:
        """Yield the text of a plain dump, unpacked. Raises BadAnswer when it is damaged."""
        program = next((name for magic, name in _PROGRAMS.items() if self._has(magic)), None)
        if program:
            yield from _unpacked(program, self.path)
            return
        with file_errors(self.path), self._opened() as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _opened(self) -> IO[bytes]:
        gzipped, bzipped, xzipped = (self._has(magic) for magic in _PACKED)
        if gzipped:
            return cast(IO[bytes], gzip.open(self.path))
        if bzipped:
            return cast(IO[bytes], bz2.open(self.path))
        return cast(IO[bytes], lzma.open(self.path)) if xzipped else self.path.open("rb")

    def _has(self, magic: bytes) -> bool:
        return self._head.startswith(magic)

    def line(self, number: int) -> str:
        """Return where a line of its text is found."""
        place = "" if self.format == "plain" else " of its SQL (pg_restore --file=-)"
        return f"line {number:,}{place}"


def _unpacked(program: str, path: Path) -> Iterator[bytes]:
    try:
        process = subprocess.Popen(
            [program, "-dc", "--", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        message = f"{path} is packed by {program}, which is not installed here: install it."
        raise BadAnswer(SYSTEM, message) from error
    with process:
        try:
            assert process.stdout is not None
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
        finally:
            if process.poll() is None and not _has_ended(process):
                process.kill()
        if process.wait():
            raise BadAnswer(SYSTEM, f"{path} is damaged: {program} cannot unpack it.")


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        return False
    return True


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Map what goes wrong with a dump's file to one sentence."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise BadAnswer(SYSTEM, f"{path} is damaged: {error}.") from error
    except OSError as error:
        raise BadAnswer(SYSTEM, f"{error.filename or path}: {error.strerror or error}.") from error


@contextmanager
def reading(archive: Archive) -> Iterator[None]:
    """Map what is wrong with a dump's text to one sentence."""
    try:
        yield
    except NotSql as error:
        message = f"{archive.path}, {archive.line(error.line)}: {error}."
        raise BadAnswer(SYSTEM, message) from error
    except Unsafe as error:
        raise _refusal(archive, [error]) from error


def _refusal(archive: Archive, refused: list[Unsafe]) -> BadAnswer:
    told = "; ".join(f"{archive.line(each.line)}: {each}" for each in refused)
    return BadAnswer(
        SYSTEM,
        f"Refused: {archive.path}, {told}. A backup is data: make it with pg_dump of the one "
        "database, without -C, or take these lines out if you trust it.",
    )


def demand_readable(target: Target, archive: Archive) -> int:
    """Return how many entries a dump lists, 0 for a plain one; little of the file is read.

    Raises BadAnswer when it is no dump, or one of a newer version.
    """
    if archive.format == "plain":
        first = next(archive.chunks(), b"")
        if not _HEADER.search(first[:_TAIL].replace(b"\0", b"")):
            raise BadAnswer(SYSTEM, f"{archive.path} is no dump of a PostgreSQL database.")
        return 0
    try:
        listed = list(programs.lines(target, "pg_restore", ("--list", archive.path)))
    except BadAnswer as error:
        raise _unreadable(target, archive, error) from error
    return sum(not line.startswith(b";") and bool(line.strip()) for line in listed)


def _unreadable(target: Target, archive: Archive, error: BadAnswer) -> BadAnswer:
    if _NEWER in str(error):
        return BadAnswer(
            SYSTEM,
            f"{archive.path} was made by a newer pg_dump than this pg_restore: {error} Install "
            "the newer client programs and name their folder as programs in "
            f"[targets.{target.name}.database].",
        )
    return BadAnswer(SYSTEM, f"{archive.path} is damaged: {error}")


def demand_whole(target: Target, archive: Archive) -> None:
    """Read all of a dump. Raises BadAnswer when it is cut off or damaged anywhere."""
    demand_checksum(archive)
    if archive.format == "plain":
        for _ in _to_its_end(archive, archive.chunks()):
            pass
        return
    demand_readable(target, archive)
    try:
        for _ in programs.lines(target, "pg_restore", (f"--file={os.devnull}", archive.path)):
            pass
    except BadAnswer as error:
        raise _unreadable(target, archive, error) from error


def _to_its_end(archive: Archive, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass a plain dump's text on. Raises BadAnswer when its last line is missing."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-_TAIL:]
        yield chunk
    if not _COMPLETE.search(end.replace(b"\0", b"")):
        raise BadAnswer(SYSTEM, f"{archive.path} is cut off: its last line is missing.")


def demand_checksum(archive: Archive) -> None:
    """Raise BadAnswer when the file is not the one that its checksum was made of."""
    if archive.format == "directory" or not archive.checksum_path.exists():
        return
    with file_errors(archive.checksum_path):
        told = archive.checksum_path.read_text(encoding="utf-8").split()
    if not told or told[0] != archive.sha256():
        raise BadAnswer(
            SYSTEM, f"{archive.path} is damaged: it does not match {archive.checksum_path.name}."
        )


_read: dict[tuple[object, ...], Contents] = {}


def contents_of(target: Target, archive: Archive) -> Contents:
    """Return what a dump holds, read once from its first to its last byte.

    Raises BadAnswer when it is damaged, cut off, or says more than data.
    """
    key = archive.signature()
    if key not in _read:
        _read[key] = _contents(target, archive)
    return _read[key]


def _contents(target: Target, archive: Archive) -> Contents:
    demand_checksum(archive)
    text = archive.text(target)
    if archive.format == "plain":
        text = _to_its_end(archive, text)
    try:
        with reading(archive):
            contents, refused = inspect(text)
    except BadAnswer as error:
        if archive.format == "plain" or str(archive.path) in str(error):
            raise
        raise _unreadable(target, archive, error) from error
    if refused:
        raise _refusal(archive, refused)
    return contents


def folder_of(folder: str) -> Path:
    """Return the folder for dumps: absolute, or relative to `opsnb.toml` as the record store is."""
    config = find_config()
    base = config.parent if config else Path.cwd()
    return (base / Path(folder).expanduser()).resolve()


def name_for(target: Target, database: str, what: What, kind: Format, at: datetime) -> str:
    """Return the name of a new dump. It tells what it is, and sorts by time."""
    return f"{_stem(target, database, what)}{at.strftime(STAMP)}{_SUFFIX[kind]}"


def ours(folder: Path, target: Target, database: str, what: What) -> list[Path]:
    """Return the dumps in `folder` that bear the names which we give, the newest first."""
    pattern = re.compile(
        re.escape(_stem(target, database, what)) + r"\d{8}T\d{6}Z(\.dump|\.sql\.gz)"
    )
    if not folder.is_dir():
        return []
    with file_errors(folder):
        found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
    return sorted(found, key=taken, reverse=True)


def taken(path: Path) -> datetime:
    """Return when one of our dumps was begun, which its name tells."""
    stamp = path.name.rpartition("-")[2].split(".")[0]
    return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)


def _stem(target: Target, database: str, what: What) -> str:
    # A database may be called anything, a file may not.
    return f"{target.name}-{quote(database, safe='')}-{what}-"
