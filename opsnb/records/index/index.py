"""Bring the index of a store up to date, and read it. The package says what holds for readers."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

from opsnb.errors import OpsnbError
from opsnb.model import RunResult
from opsnb.records import stored
from opsnb.records.index import rows, texts
from opsnb.records.index.database import Database, statement
from opsnb.records.listing import UNSETTLED, Listing, Version, stamp
from opsnb.records.place import Place
from opsnb.records.stored import NOTEBOOK, RESULT

_T = TypeVar("_T")
_BATCH = 200  # records written at once: a killed process loses no more than these
_SETTLES_NS = 2_000_000_000  # on any file system, a change after this has another time stamp
_NEWEST = "SELECT run_id FROM runs ORDER BY run_id DESC LIMIT :count"
_BROKEN = "SELECT run_id, sentence FROM broken ORDER BY run_id DESC"


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
    sealed_sha256: str | None = None


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


class Index:
    """The index of one store. Methods raise RunBroke when the store cannot be read."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._database = Database(place.address)
        self._window = Window()
        self._with_texts = False
        self._filled: tuple[Path | None] | None = None
        self.unread: dict[str, str] = {}
        """Folders that could not be listed, and records in the wrong one: a sentence for each."""

    def refresh(
        self,
        *,
        since: datetime | None = None,
        runbooks: Collection[str] = (),
        target: str | None = None,
        texts: bool = False,
    ) -> None:
        """Bring the index up to date by the records that are new, changed or gone.

        By default by all records, else at least by those of `runbooks`, of `target`, of runs begun
        at or after `since`; with `texts`, the table `texts` as well.
        """
        self._window = Window(stamp(since), frozenset(runbooks), target)
        self._with_texts = texts
        self._filled = None
        self._database.run(self._demand_filled)

    def read(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[sqlite3.Row]:
        """Return the rows of the query `sql`, as the last `refresh` left the index.

        Without one before, the whole index is brought up to date. In `parameters`, by name, a time
        is a `datetime` and a list is its JSON, for `json_each`.
        """

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            self._demand_filled(connection)
            return connection.execute(sql, _bound(parameters or {})).fetchall()

        return self._database.run(work)

    def newest(self, count: int) -> list[str]:
        """Return the newest run ids as the index was left, without asking the store."""
        return self._database.run(
            lambda connection: [
                row["run_id"] for row in connection.execute(_NEWEST, {"count": count})
            ]
        )

    def broken(self) -> dict[str, str]:
        """Return what could not be read, as the last `refresh` left the index.

        It is a sentence for each damaged record, and for each folder that could not be listed.
        """
        return self.unread | {row["run_id"]: row["sentence"] for row in self.read(_BROKEN)}

    def discard(self) -> None:
        """Throw the index away; the next `refresh` or `read` makes it again."""
        self._database.discard()
        self._filled = None

    def _demand_filled(self, connection: sqlite3.Connection) -> None:
        """Bring the database up to date if this process has not: it may be another one now."""
        if self._filled != (self._database.path,):
            self._fill(connection)
            self._filled = (self._database.path,)

    def _fill(self, connection: sqlite3.Connection) -> None:
        window = self._window
        # Before the store is listed: what others add meanwhile is not taken for gone.
        known = {
            row["run_id"]: row
            for row in connection.execute(statement("known"), {"since": window.since})
            if window.has(row["run_id"])
        }
        self.unread.clear()
        listing = Listing(self._place, self.unread)
        listed = {
            run_id: listing.version(run_id)
            for run_id in listing.run_ids(window.since)
            if window.has(run_id)
        }
        changed = (
            (run_id, version)
            for run_id, version in listed.items()
            if run_id not in known or self._may_differ(known[run_id], version)
        )
        for batch in _batches(changed):
            _put(connection, [self._read(run_id, version) for run_id, version in batch])
        for gone in _batches(known.keys() - listed.keys()):
            _forget(connection, gone)
        if self._with_texts:
            self._fill_texts(connection)

    def _may_differ(self, known: sqlite3.Row, version: Version) -> bool:
        if self._place.folder is None:
            return bool(known["may_change"])
        return version != (known["size"], known["mtime_ns"], known["inode"])

    def _read(self, run_id: str, version: Version) -> _Read:
        """Read the record of a run; `version` is that of its file before."""
        at_ns = time.time_ns()
        if at_ns - version.mtime_ns < _SETTLES_NS:
            version = UNSETTLED  # it is read again next time
        try:
            with self._place.mapped_errors("read"):
                return self._parsed(run_id, at_ns, version)
        except _Broken as broken:
            return _Read(run_id, at_ns, version, None, str(broken))

    def _parsed(self, run_id: str, at_ns: int, version: Version) -> _Read:
        try:
            data = self._file(run_id, RESULT, stored.RESULT_LIMIT)
            result = stored.result(data, run_id)
        except (ValueError, OSError) as error:
            raise _Broken(stored.broken(run_id, error)) from error
        wrong = stored.wrong_links(result)
        broken = stored.damaged_link(run_id, wrong) if wrong else ""
        return _Read(run_id, at_ns, version, result, broken, _seal(data))

    def _file(self, run_id: str, name: str, limit: int) -> bytes:
        path = self._place.path(f"{stored.month_of(run_id)}/{run_id}/{name}")
        return stored.read(self._place.files, path, limit)

    def _fill_texts(self, connection: sqlite3.Connection) -> None:
        window = self._window
        without = connection.execute(statement("without_text")).fetchall()
        waiting = (row for row in without if window.has(row["run_id"]))
        for batch in _batches(waiting):
            printed = [{**row, **self._printed(row["run_id"])} for row in batch]
            with _transaction(connection):
                for sql in ("forget_text", "put_text", "mark_searchable"):
                    connection.executemany(statement(sql), printed)

    def _printed(self, run_id: str) -> Mapping[str, Any]:
        """Return what the run printed, and whether that will stay so.

        A damaged notebook is searched by what else is known of its run.
        """
        with self._place.mapped_errors("read"):
            try:
                notebook = from_json(self._file(run_id, NOTEBOOK, stored.NOTEBOOK_LIMIT))
                return {"printed": texts.printed(stored.demand_notebook(notebook)), "final": True}
            except ValueError:
                return {"printed": "", "final": True}
            except OSError as error:
                return {"printed": "", "final": isinstance(error, FileNotFoundError)}


class _Broken(OpsnbError):
    """A record cannot be used; the message is the sentence that says why."""


def _put(connection: sqlite3.Connection, batch: Sequence[_Read]) -> None:
    """Write what was read of records."""
    with _transaction(connection):
        for read in batch:
            which = {"run_id": read.run_id, "read_ns": read.at_ns, **read.version._asdict()}
            connection.execute(statement("forget_text"), which)
            if read.result:
                _put_run(connection, read.result, which, read.sealed_sha256)
            else:
                connection.execute(statement("forget_run"), which)
            if read.broken:
                connection.execute(statement("put_broken"), {**which, "sentence": read.broken})
            else:
                connection.execute(statement("forget_broken"), which)


def _put_run(
    connection: sqlite3.Connection, result: RunResult, which: rows.Row, seal: str | None
) -> None:
    row = {**rows.run(result, seal), **which}
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


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    waiting = iter(items)
    while batch := list(islice(waiting, _BATCH)):
        yield batch


def _seal(data: bytes) -> str | None:
    """Return the sha256 of the seal in a result, if it has one."""
    seal = from_json(data).get("seal") if b'"seal"' in data else None
    sealed = seal.get("sha256") if isinstance(seal, dict) else None
    return sealed if isinstance(sealed, str) else None


def _bound(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _as_text(value) for name, value in parameters.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return rows.utc(value)
    return json.dumps(list(value)) if isinstance(value, list | tuple | frozenset) else value
