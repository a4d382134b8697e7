"""Verify the records of a store by their seals: which one was changed, removed or put in later.

Every record is read once, whole, and not believed. What is compared lies in a temporary database
on disk, so that the memory needed does not grow with the store.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from pydantic_core import from_json

from opsnb.errors import UsageError
from opsnb.records import prune, removals, seals, stored
from opsnb.records.heads import Heads
from opsnb.records.history import SQL
from opsnb.records.index import statement
from opsnb.records.reader import Reader
from opsnb.records.store import Store
from opsnb.records.stored import NOTEBOOK, RESULT

BY_HAND = "accepted by hand"
"""The reason in a list of accepted records."""
_SLACK_S = 600.0  # so long after it was sealed may a record appear
_INTERACTIVE = "interactive"
_RESTORE = "Restore it from a backup of the store."
_REINDEX = "Rebuild it with: opsnb records reindex"
_PUT_RECORD = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_NAMED = "INSERT INTO named VALUES (?, ?, ?, ?)"
_PUT_REMOVED = "INSERT OR IGNORE INTO removed VALUES (?, ?, ?)"
_PUT_ACCEPTED = "INSERT OR IGNORE INTO accepted VALUES (?, ?)"
_NAMED = "SELECT DISTINCT sha256 FROM named WHERE run_id = ?"
_CONTENT = "SELECT content FROM records WHERE run_id = ?"
_COUNTS = "SELECT state, count(*) AS records FROM records GROUP BY state"


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a record, or with a list of removed ones."""

    run_id: str
    kind: str
    """`changed`, `removed`, `inserted` or `damaged`."""
    sentence: str
    next: str
    """What to do."""


@dataclass(frozen=True)
class Pruned:
    """A list: records that were removed at once, or accepted as they are."""

    at: datetime
    operator: str
    host: str
    reason: str
    records: int
    accepted: int
    """How many others were accepted as they are."""


class Verification:
    """Verifies a store. Use it as a context: it holds the temporary database.

    Methods raise RunBroke when the store cannot be read.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._place = reader.place
        self._db = sqlite3.connect("", isolation_level=None)  # "": on disk, without a name
        self._db.row_factory = sqlite3.Row
        self._db.executescript(statement("seals", SQL))
        self._db.execute("BEGIN")  # never committed: it is thrown away
        self.pruned: list[Pruned] = []
        """What was removed or accepted, the oldest first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def read(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Read the whole store; `progress` is given how many records were read."""
        with self._place.mapped_errors("read"):
            # In this order: a record that is written or removed meanwhile is not missed.
            for head in self._marked():
                self._put(_PUT_NAMED, head.run_id, head.sha256, "", None)
            for count, run_id in enumerate(self._reader.run_ids(), 1):
                self._read_record(run_id)
                progress(count)
            for list_id in removals.ids(self._place):
                self._read_list(list_id)
            self._db.execute(statement("lost", SQL))

    @property
    def counts(self) -> dict[str, int]:
        """How many records are sealed, changed, damaged, unsealed and open."""
        states = dict.fromkeys(("sealed", "changed", "damaged", "unsealed", "open"), 0)
        found = {row["state"]: row["records"] for row in self._db.execute(_COUNTS)}
        found["sealed"] = found.get("sealed", 0) - len(self.pruned)
        return states | found

    def wrong(self) -> Iterator[Wrong]:
        """Yield what is wrong, by run id."""
        for name, sentence in self._reader.broken.items():  # folders, and misplaced records
            yield Wrong(name, "damaged", sentence, "")
        for row in self._db.execute(statement("wrong", SQL), {"slack": _SLACK_S}):
            if (found := _wrong(row)) and self._still(row):
                yield found

    def _marked(self) -> list[seals.Sealed]:
        try:
            return Heads(self._place).marked()
        except FileNotFoundError:  # named by a writer meanwhile: its record names it, too
            return self._marked()

    def _put(self, sql: str, *values: Any) -> None:
        self._db.execute(sql, values)

    def _read_record(self, run_id: str) -> None:
        data, notebook, seal = b"", "", None
        state, sentence = "damaged", ""
        try:
            path = self._place.record(run_id, RESULT)
            data = stored.read(self._place.files, path, stored.RESULT_LIMIT)
            fields = from_json(data)
            seal = seals.parsed(fields)
            notebook, sentence = self._notebook(run_id)
            if not sentence or seal is None:
                state, sentence = _state(run_id, fields, data, notebook)
        except (ValueError, OSError, RecursionError) as error:
            if not self._reader.has(run_id):
                return  # pruned meanwhile
            sentence = f"{RESULT} of {run_id} {stored.why(_plain(error))}."
        at = seal.at.timestamp() if seal else None
        sha256 = seals.claimed(data) or None
        content = hashlib.sha256(data + notebook.encode()).hexdigest()
        self._put(_PUT_RECORD, run_id, state, sha256, at, _began(run_id), content, sentence)
        # What a changed record names is not believed.
        for named, named_sha256 in (seal.previous if seal and state == "sealed" else {}).items():
            self._put(_PUT_NAMED, named, named_sha256, run_id, at)

    def _notebook(self, run_id: str) -> tuple[str, str]:
        """Return the sha256 of a record's notebook, and a sentence if it cannot be read."""
        path = self._place.record(run_id, NOTEBOOK)
        try:
            return stored.digest(self._place.files, path, stored.NOTEBOOK_LIMIT), ""
        except (ValueError, OSError) as error:
            return "", f"{NOTEBOOK} of {run_id} {stored.why(error)}."

    def _read_list(self, list_id: str) -> None:
        try:
            removal, sha256 = removals.read(self._place, list_id)
        except (ValueError, OSError) as error:
            sentence = f"{removals.name(list_id)} {stored.why(error)}."
            self._put(_PUT_RECORD, list_id, "damaged", None, None, None, "", sentence)
            return
        at = removal.at.timestamp()
        self.pruned.append(
            Pruned(
                removal.at,
                removal.operator,
                removal.host,
                removal.reason,
                len(removal.records),
                len(removal.accepted),
            )
        )
        self._put(_PUT_RECORD, list_id, "sealed", sha256, at, None, sha256, "")
        for run_id, content in removal.accepted.items():
            self._put(_PUT_ACCEPTED, run_id, content)
        for named, named_sha256 in removal.previous.items():
            self._put(_PUT_NAMED, named, named_sha256, list_id, at)
        for run_id, removed in removal.records.items():
            since = removed.at.timestamp() if removed.at else None
            self._put(_PUT_REMOVED, run_id, removed.sha256, since)
            for named, named_sha256 in removed.previous.items():
                self._put(_PUT_NAMED, named, named_sha256, run_id, since)

    def accept(self, store: Store, run_ids: Collection[str]) -> None:
        """Note that these records may stay as they are, changed, removed or put in.

        Raises UsageError when one of them is as it was written.
        """
        wrong = {each.run_id: each.kind for each in self.wrong()}
        for run_id in run_ids:
            if run_id not in wrong:
                raise UsageError(f"{run_id} is not reported by opsnb records verify.")
        removed, accepted = {}, {}
        for run_id in run_ids:
            if wrong[run_id] == "removed":
                (named, *_) = self._db.execute(_NAMED, (run_id,)).fetchone()
                removed[run_id] = removals.Removed(sha256=named)
            else:
                (accepted[run_id],) = self._db.execute(_CONTENT, (run_id,)).fetchone()
        prune.note(store, BY_HAND, removed, accepted)

    def _still(self, row: sqlite3.Row) -> bool:
        """Return whether that is still so: records are written and sealed meanwhile."""
        run_id, kind = row["run_id"], row["kind"]
        if kind == "removed":
            return not self._reader.has(run_id) and not self._place.files.exists(
                self._place.path(removals.name(run_id))
            )
        if kind == "resealed" and row["sha256"] is None:
            with suppress(ValueError, OSError):
                path = self._place.record(run_id, RESULT)
                return not seals.claimed(stored.read(self._place.files, path, stored.RESULT_LIMIT))
        return True


def _state(
    run_id: str, fields: Mapping[str, Any], data: bytes, notebook_sha256: str
) -> tuple[str, str]:
    """Return the state of a record, and a sentence about what is wrong with it."""
    if fields.get("run_id") != run_id:
        return "damaged", f"{RESULT} of {run_id} belongs to another run."
    if not fields.get("seal"):
        is_open = fields.get("open") or fields.get("trigger") == _INTERACTIVE
        return ("open" if is_open else "unsealed"), ""
    changed = [] if seals.holds(data) else [RESULT]
    if notebook_sha256 != fields["seal"].get("notebook_sha256"):
        changed.append(NOTEBOOK)
    if not changed:
        return "sealed", ""
    verb = "has" if len(changed) == 1 else "have"
    files = " and ".join(changed)
    return "changed", f"{files} of {run_id} {verb} changed since the record was sealed."


def _wrong(row: sqlite3.Row) -> Wrong:
    """Return what a row of wrong.sql says, in words."""
    run_id, kind, sentence, by = row["run_id"], row["kind"], row["sentence"], row["by"]
    named_by = f"{by} names" if by else "the list of the newest records names"
    if kind == "changed":
        return Wrong(run_id, "changed", sentence, _RESTORE)
    if kind == "damaged":
        step = _REINDEX if sentence.startswith(RESULT) else _RESTORE
        return Wrong(run_id, "damaged", sentence, step)
    if kind == "resealed":
        sentence = f"{run_id} has changed and has another seal, or none: {named_by} the former one."
        return Wrong(run_id, "changed", sentence, _RESTORE)
    if kind == "removed":
        sentence = f"{run_id} is missing, and opsnb did not remove it: {named_by} it."
        return Wrong(run_id, "removed", sentence, _RESTORE)
    if kind == "unsealed":
        sentence = f"{run_id} has no seal, though records before it have one."
        step = "If an older opsnb wrote it, update that one; else find out who put it there."
    else:
        sentence = f"{run_id} was put in later: records written after it do not name it."
        step = "Find out who put it there, and remove it if it is not yours."
    return Wrong(run_id, "inserted", sentence, step)


def _plain(error: Exception) -> Exception:
    is_deep = isinstance(error, RecursionError)
    return stored.Damaged("is damaged: it is nested too deeply") if is_deep else error


def _began(run_id: str) -> float | None:
    try:
        begun = datetime.strptime(run_id.partition("-")[0], stored.STAMP)
    except ValueError:
        return None
    return begun.replace(tzinfo=UTC).timestamp()
