"""Bring the tables up to date with the records of a store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from pydantic_core import from_json

from opsnb.errors import OpsnbError
from opsnb.model import RunResult
from opsnb.records import stored
from opsnb.records.index import rows, texts
from opsnb.records.index.database import statement
from opsnb.records.listing import UNSETTLED, Listing, Version
from opsnb.records.place import Place
from opsnb.records.stored import NOTEBOOK, RESULT

_T = TypeVar("_T")
_R = TypeVar("_R")
_BATCH = 200  # records written at once: a killed process loses no more than these
_BATCH_SIZE = 8_000_000  # of what is written at once, in bytes or characters
_AT_ONCE = 8  # requests to a store behind a URL
_SETTLES_NS = 2_000_000_000  # on any file system, a change after this has another time stamp
_SHOWN_FROM = 200  # of fewer, no progress is shown


@dataclass(frozen=True)
class Window:
    """Which records a reader needs."""

    since: str = ""
    """The first run id, or what it begins with."""
    runbooks: frozenset[str] = frozenset()
    """Empty for all."""
    target: str | None = None

    def has(self, run_id: str) -> bool:
        """Return whether the record of that run may be needed."""
        return run_id >= self.since and stored.may_be(run_id, self.runbooks, self.target)


@dataclass(frozen=True)
class _Read:
    """What was read of one record."""

    run_id: str
    at_ns: int
    """When it was read, in ns since 1970."""
    version: Version
    result: RunResult | None
    """None when it cannot be used."""
    broken: str = ""
    """Why it cannot, or which of its links is damaged, as a sentence."""
    size: int = 0


class Filling:
    """One time of bringing a database up to date. Methods raise RunBroke, sqlite3.Error."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        place: Place,
        unread: dict[str, str],
        progress: Callable[[str], None],
    ) -> None:
        """Fill the database of `connection` from `place`; note in `unread` as `Listing` does."""
        self._connection, self._place = connection, place
        self._unread, self._progress = unread, progress

    def records(self, window: Window) -> None:
        """Read the records of `window` that are new or changed; forget those that are gone."""
        # Before the store is listed: what others add meanwhile is not taken for gone.
        known = {
            row["run_id"]: row
            for row in self._connection.execute(statement("known"), {"since": window.since})
            if window.has(row["run_id"])
        }
        listing = Listing(self._place, self._unread)
        listed = {
            run_id: listing.version(run_id)
            for run_id in listing.run_ids(window.since)
            if window.has(run_id)
        }
        changed = [
            (run_id, version)
            for run_id, version in listed.items()
            if run_id not in known or self._may_differ(known[run_id], version)
        ]
        read = self._mapped(self._read, changed)
        for batch in _batches(self._shown(read, len(changed), "Reading"), lambda each: each.size):
            _put(self._connection, batch)
        for gone in _batches(known.keys() - listed.keys()):
            _forget(self._connection, gone)

    def texts(self, window: Window) -> None:
        """Add the text of the records of `window` that lack it."""
        without = self._connection.execute(statement("without_text")).fetchall()
        waiting = [row for row in without if window.has(row["run_id"])]
        read = self._mapped(self._printed, waiting)
        shown = self._shown(read, len(waiting), "Reading the text of")
        for batch in _batches(shown, lambda each: len(each["printed"])):
            with _transaction(self._connection):
                for sql in ("forget_text", "put_text", "mark_searchable"):
                    self._connection.executemany(statement(sql), batch)

    def _mapped(self, read: Callable[[_T], _R], items: Sequence[_T]) -> Iterator[_R]:
        """Yield what `read` returns for each item; of a store behind a URL, several at once."""
        if self._place.folder or not getattr(self._place.files, "async_impl", False):
            yield from map(read, items)
            return
        waiting = iter(items)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while some := list(islice(waiting, 4 * _AT_ONCE)):
                yield from pool.map(read, some)

    def _shown(self, items: Iterable[_T], total: int, doing: str) -> Iterator[_T]:
        for number, item in enumerate(items):
            if total >= _SHOWN_FROM and number % 50 == 0:
                self._progress(f"{doing} {total:,} records: {100 * number // total} %")
            yield item

    def _may_differ(self, known: sqlite3.Row, version: Version) -> bool:
        if self._place.folder is None:
            return bool(known["may_change"])
        return version != (known["size"], known["mtime_ns"], known["inode"])

    def _read(self, listed: tuple[str, Version]) -> _Read:
        """Read the record of a run; the version is that of its file before."""
        run_id, version = listed
        at_ns = time.time_ns()
        if at_ns - version.mtime_ns < _SETTLES_NS:
            version = UNSETTLED  # it is read again next time
        made = partial(_Read, run_id, at_ns, version)
        try:
            with self._place.mapped_errors("read"):
                return self._parsed(run_id, made)
        except _Broken as broken:
            return made(None, str(broken))

    def _parsed(self, run_id: str, made: Callable[..., _Read]) -> _Read:
        try:
            data = self._file(run_id, RESULT, stored.RESULT_LIMIT)
            result = stored.result(data, run_id)
        except (ValueError, OSError) as error:
            raise _Broken(stored.broken(run_id, error)) from error
        wrong = stored.wrong_links(result)
        broken = stored.damaged_link(run_id, wrong) if wrong else ""
        return made(result, broken, len(data))

    def _printed(self, row: sqlite3.Row) -> dict[str, Any]:
        """Return, beside `row`, what the run printed, and whether that will stay so.

        A damaged notebook is searched by what else is known of its run.
        """
        with self._place.mapped_errors("read"):
            try:
                data = self._file(row["run_id"], NOTEBOOK, stored.NOTEBOOK_LIMIT)
                printed = texts.printed(stored.demand_notebook(from_json(data)))
            except ValueError:
                return {**row, "printed": "", "final": True}
            except OSError as error:
                return {**row, "printed": "", "final": isinstance(error, FileNotFoundError)}
        return {**row, "printed": printed, "final": True}

    def _file(self, run_id: str, name: str, limit: int) -> bytes:
        return stored.read(self._place.files, self._place.record(run_id, name), limit)


class _Broken(OpsnbError):
    """A record cannot be used; the message is the sentence that says why."""


def _put(connection: sqlite3.Connection, batch: Sequence[_Read]) -> None:
    """Write what was read of records."""
    with _transaction(connection):
        for read in batch:
            which = {"run_id": read.run_id, "read_ns": read.at_ns, **read.version._asdict()}
            connection.execute(statement("forget_text"), which)
            if read.result:
                _put_run(connection, read.result, which)
            else:
                connection.execute(statement("forget_run"), which)
            if read.broken:
                connection.execute(statement("put_broken"), {**which, "sentence": read.broken})
            else:
                connection.execute(statement("forget_broken"), which)


def _put_run(connection: sqlite3.Connection, result: RunResult, which: rows.Row) -> None:
    row = {**rows.run(result), **which}
    run = connection.execute(statement("put_run"), row).lastrowid
    parts = (("finding", rows.findings), ("action", rows.actions), ("member", rows.targets))
    for name, of in parts:
        each = [{"run": run, **part} for part in of(result)]
        connection.executemany(statement(f"put_{name}"), each)


def _forget(connection: sqlite3.Connection, run_ids: Sequence[str]) -> None:
    """Remove records that the store has no more."""
    gone = [{"run_id": run_id} for run_id in run_ids]
    with _transaction(connection):
        for sql in ("forget_text", "forget_run", "forget_broken"):
            connection.executemany(statement(sql), gone)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have ended it already
            connection.execute("ROLLBACK")
        raise


def _batches(items: Iterable[_T], size: Callable[[_T], int] = lambda _: 0) -> Iterator[list[_T]]:
    """Yield the items in lists of limited length and size."""
    batch: list[_T] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if len(batch) == _BATCH or total > _BATCH_SIZE:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
