"""Dumps as files: their format, whether they are complete, and what they hold."""

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
from functools import cached_property
from pathlib import Path
from typing import IO, Literal, cast

from opsnb.errors import BadAnswer
from opsnb.systems.database.dumps.contents import Contents, Unsafe
from opsnb.systems.database.dumps.judging import inspect
from opsnb.systems.database.dumps.statements import NotSql
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.programs import Program

Kind = Literal["custom", "directory", "tar", "plain"]
"""The formats that a dump may have."""

_CUSTOM_MAGIC = b"PGDMP"
_TAR_FIRST = b"toc.dat"
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_HEADER = re.compile(rb"PostgreSQL database (?:cluster )?dump")
_COMPLETE = re.compile(rb"PostgreSQL database (?:cluster )?dump complete")
_TAIL = 4096
_CHUNK = 2**20
_NEWER = "unsupported version"


@dataclass(frozen=True)
class Archive:
    """A dump on this machine."""

    path: Path
    restorer: Program
    """The pg_restore that reads it, if it is not plain SQL."""

    @cached_property
    def format(self) -> Kind:
        """Its format, by its content and not by its name."""
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
        return checksum_path(self.path)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        files = self.path.iterdir() if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files)

    def signature(self) -> tuple[object, ...]:
        """Return the files' numbers, sizes and times, which change when the dump does."""
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        with file_errors(self.path):
            stats = [file.stat() for file in files]
        return (str(self.path), *((s.st_ino, s.st_size, s.st_mtime_ns) for s in stats))

    def sha256(self) -> str:
        """Return the checksum of the file as it is now."""
        with file_errors(self.path), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def text(self) -> Iterator[bytes]:
        """Yield the dump as SQL text, piece by piece. Raises BadAnswer if it is damaged."""
        if self.format == "plain":
            with file_errors(self.path):
                yield from self.chunks()
        else:
            yield from self.restorer.chunks(("--file=-", self.path))

    def chunks(self) -> Iterator[bytes]:
        """Yield the text of a plain dump, uncompressed. Raises BadAnswer if it is damaged."""
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
        """Say where to find a line of its text."""
        place = "" if self.format == "plain" else " of its SQL (pg_restore --file=-)"
        return f"line {number:,}{place}"


def checksum_path(path: Path) -> Path:
    """Return the file with the checksum of the dump `path`."""
    return path.with_name(path.name + ".sha256")


def _unpacked(program: str, path: Path) -> Iterator[bytes]:
    try:
        process = subprocess.Popen(
            [program, "-dc", "--", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        message = f"{path} is compressed with {program}, which is not installed here: install it."
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
            raise BadAnswer(SYSTEM, f"{path} is damaged: {program} cannot decompress it.")


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        return False
    return True


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise BadAnswer for an error of the dump's file."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise BadAnswer(SYSTEM, f"{path} is damaged: {error}.") from error
    except OSError as error:
        raise BadAnswer(SYSTEM, f"{error.filename or path}: {error.strerror or error}.") from error


@contextmanager
def reading(archive: Archive) -> Iterator[None]:
    """Raise BadAnswer if the dump's text cannot be read, or is more than data."""
    try:
        yield
    except NotSql as error:
        message = f"{archive.path}, {archive.line(error.line)}: {error}."
        raise BadAnswer(SYSTEM, message) from error
    except Unsafe as error:
        raise _refusal(archive, [error]) from error


def _refusal(archive: Archive, refused: list[Unsafe]) -> BadAnswer:
    lines = "; ".join(f"{archive.line(each.line)}: {each}" for each in refused)
    return BadAnswer(
        SYSTEM,
        f"Refused: {archive.path}, {lines}. A backup is data: make it with pg_dump of the one "
        "database, without -C, or remove these lines if you trust it.",
    )


def read(archive: Archive) -> tuple[Contents, int]:
    """Return what a dump holds, and how many entries it lists.

    Raises Refused without the pg_restore that it needs, BadAnswer if it cannot be restored.
    """
    if archive.format != "plain":
        archive.restorer.demand()
    entries = demand_readable(archive)
    return contents_of(archive), entries


def demand_readable(archive: Archive) -> int:
    """Return how many entries a dump lists, 0 for plain SQL, reading only its beginning.

    Raises BadAnswer if it is no dump, or made by a newer pg_dump.
    """
    if archive.format == "plain":
        first = next(archive.chunks(), b"")
        if not _HEADER.search(first[:_TAIL].replace(b"\0", b"")):
            raise BadAnswer(SYSTEM, f"{archive.path} is no dump of a PostgreSQL database.")
        return 0
    try:
        listed = list(archive.restorer.lines(("--list", archive.path)))
    except BadAnswer as error:
        raise _unreadable(archive, error) from error
    return sum(not line.startswith(b";") and bool(line.strip()) for line in listed)


def _unreadable(archive: Archive, error: BadAnswer) -> BadAnswer:
    if _NEWER in str(error):
        return BadAnswer(
            SYSTEM,
            f"{archive.path} was made by a newer pg_dump than this pg_restore: {error} Install "
            "the newer client programs and name their folder as programs in "
            f"[targets.{archive.restorer.target.name}.database].",
        )
    return BadAnswer(SYSTEM, f"{archive.path} is damaged: {error}")


def demand_whole(archive: Archive) -> None:
    """Read all of a dump. Raises BadAnswer if it is truncated or damaged anywhere."""
    demand_checksum(archive)
    if archive.format == "plain":
        for _ in _to_its_end(archive, archive.chunks()):
            pass
        return
    demand_readable(archive)
    try:
        for _ in archive.restorer.lines((f"--file={os.devnull}", archive.path)):
            pass
    except BadAnswer as error:
        raise _unreadable(archive, error) from error


def _to_its_end(archive: Archive, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass a plain dump's text on. Raises BadAnswer if its last line is missing."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-_TAIL:]
        yield chunk
    if not _COMPLETE.search(end.replace(b"\0", b"")):
        raise BadAnswer(SYSTEM, f"{archive.path} is truncated: its last line is missing.")


def demand_checksum(archive: Archive) -> None:
    """Raise BadAnswer if the file does not match its checksum."""
    if archive.format == "directory" or not archive.checksum_path.exists():
        return
    with file_errors(archive.checksum_path):
        expected = archive.checksum_path.read_text(encoding="utf-8").split()
    if not expected or expected[0] != archive.sha256():
        raise BadAnswer(
            SYSTEM, f"{archive.path} is damaged: it does not match {archive.checksum_path.name}."
        )


_read: dict[tuple[object, ...], Contents] = {}


def contents_of(archive: Archive) -> Contents:
    """Return what a dump holds; it is read once, from its first to its last byte.

    Raises BadAnswer if it is damaged, truncated, or more than data.
    """
    key = archive.signature()
    if key not in _read:
        _read[key] = _contents(archive)
    return _read[key]


def _contents(archive: Archive) -> Contents:
    demand_checksum(archive)
    text = archive.text()
    if archive.format == "plain":
        text = _to_its_end(archive, text)
    try:
        with reading(archive):
            contents, refused = inspect(text)
    except BadAnswer as error:
        if archive.format == "plain" or str(archive.path) in str(error):
            raise
        raise _unreadable(archive, error) from error
    if refused:
        raise _refusal(archive, refused)
    return contents
