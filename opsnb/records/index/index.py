"""The index of a store as its readers see it. The package says what holds for them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from opsnb.records.index import rows
from opsnb.records.index.database import Database
from opsnb.records.index.filling import Filling, Window
from opsnb.records.listing import stamp
from opsnb.records.place import Place

_NEWEST = "SELECT run_id FROM runs ORDER BY run_id DESC LIMIT :count"
_BROKEN = "SELECT run_id, sentence FROM broken ORDER BY run_id DESC"


class Index:
    """The index of one store. Methods raise RunBroke when the store cannot be read."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._database = Database(place.address)
        self._window = Window()
        self._with_texts = False
        self._filled: tuple[Path | None] | None = None
        self.progress: Callable[[str], None] = lambda _: None
        """What shows a user how far a `refresh` has come, where much is new."""
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
            self.unread.clear()
            filling = Filling(connection, self._place, self.unread, self.progress)
            filling.records(self._window)
            if self._with_texts:
                filling.texts(self._window)
            self._filled = (self._database.path,)


def _bound(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _as_text(value) for name, value in parameters.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return rows.utc(value)
    if isinstance(value, str):
        # Half a character, as of a terminal with another encoding, is no text for SQLite.
        return value.encode(errors="replace").decode()
    return json.dumps(list(value)) if isinstance(value, list | tuple | frozenset) else value
