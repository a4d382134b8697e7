"""Dumps as files: their names, whether they are whole, and how many rows they hold."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, cast
from urllib.parse import quote

from opsnb.errors import BadAnswer
from opsnb.systems.database import programs
from opsnb.systems.database.access import SYSTEM
from opsnb.target import Target, find_config

What = Literal["full", "schema"]
Format = Literal["custom", "plain"]

_SUFFIX = {"custom": ".dump", "plain": ".sql.gz"}
_CUSTOM_MAGIC = b"PGDMP"
_GZIP_MAGIC = b"\x1f\x8b"
_COMPLETE = b"PostgreSQL database dump complete"
_TAIL = 4096
_CHUNK = 2**20
_NAME = rb'(?:"(?:[^"]|"")+"|[^\s".(]+)'
_COPY = re.compile(rb"^COPY (" + _NAME + rb")\.(" + _NAME + rb") .*FROM stdin;$")

STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Archive:
    """A dump on this machine."""

    path: Path

    @property
    def format(self) -> Format:
        """Its format, by its first bytes rather than by its name."""
        with file_errors(self.path), self.path.open("rb") as file:
            return "custom" if file.read(len(_CUSTOM_MAGIC)) == _CUSTOM_MAGIC else "plain"

    @property
    def checksum_path(self) -> Path:
        """The file beside it that `sha256sum -c` reads."""
        return self.path.with_name(self.path.name + ".sha256")

    def sha256(self) -> str:
        """Return the checksum of the file as it is now."""
        with file_errors(self.path), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Yield the text of a plain dump, unpacked. Raises BadAnswer when it is damaged."""
        with file_errors(self.path), self._unpacked() as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def lines(self, target: Target) -> Iterator[bytes]:
        """Yield the dump's data as SQL text, line by line. Raises BadAnswer when it is damaged."""
        if self.format == "custom":
            arguments = ("--data-only", "--file=-", self.path)
            yield from programs.lines(target, "pg_restore", arguments)
        else:
            with file_errors(self.path), self._unpacked() as file:
                yield from file

    def _unpacked(self) -> IO[bytes]:
        with self.path.open("rb") as file:
            packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        return cast(IO[bytes], gzip.open(self.path)) if packed else self.path.open("rb")


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Map what goes wrong with a dump's file to one sentence."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadAnswer(SYSTEM, f"{path} is damaged: {error}.") from error
    except OSError as error:
        raise BadAnswer(SYSTEM, f"{error.filename or path}: {error.strerror or error}.") from error


def demand_readable(target: Target, archive: Archive) -> int:
    """Return how many entries a dump lists, 0 for a plain one; little of the file is read.

    Raises BadAnswer when it is no dump, or one of a newer version.
    """
    if archive.format == "plain":
        first = next(archive.chunks(), b"")
        if b"PostgreSQL database dump" not in first[:_TAIL]:
            raise BadAnswer(SYSTEM, f"{archive.path} is no dump of a PostgreSQL database.")
        return 0
    try:
        listed = list(programs.lines(target, "pg_restore", ("--list", archive.path)))
    except BadAnswer as error:
        raise BadAnswer(
            SYSTEM, f"{archive.path} is damaged or of a newer version: {error}"
        ) from error
    return sum(not line.startswith(b";") and bool(line.strip()) for line in listed)


def demand_whole(target: Target, archive: Archive) -> None:
    """Read all of a dump. Raises BadAnswer when it is cut off or damaged anywhere."""
    demand_checksum(archive)
    if archive.format == "plain":
        end = b""
        for chunk in archive.chunks():
            end = (end + chunk)[-_TAIL:]
        if _COMPLETE not in end:
            raise BadAnswer(SYSTEM, f"{archive.path} is cut off: its last line is missing.")
        return
    demand_readable(target, archive)
    try:
        for _ in programs.lines(target, "pg_restore", (f"--file={os.devnull}", archive.path)):
            pass
    except BadAnswer as error:
        raise BadAnswer(SYSTEM, f"{archive.path} is damaged: {error}") from error


def demand_checksum(archive: Archive) -> None:
    """Raise BadAnswer when the file is not the one that its checksum was made of."""
    if not archive.checksum_path.exists():
        return
    with file_errors(archive.checksum_path):
        told = archive.checksum_path.read_text(encoding="utf-8").split()
    if not told or told[0] != archive.sha256():
        raise BadAnswer(
            SYSTEM, f"{archive.path} is damaged: it does not match {archive.checksum_path.name}."
        )


def rows_in(target: Target, archive: Archive) -> dict[tuple[str, str], int]:
    """Return how many rows a dump holds of each (schema, table)."""
    counts: dict[tuple[str, str], int] = {}
    table: tuple[str, str] | None = None
    for line in archive.lines(target):
        if table is None:
            if match := _COPY.match(line.rstrip(b"\r\n")):
                table = (_unquoted(match[1]), _unquoted(match[2]))
                counts[table] = 0
        elif line.startswith(b"\\."):
            table = None
        else:
            counts[table] += 1
    return counts


def _unquoted(name: bytes) -> str:
    text = name.decode()
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


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
