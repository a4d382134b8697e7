"""Runs as the site's lists show them, read from the index of the records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from sqlite3 import Row
from typing import Any

from pydantic import Json

from opsnb import catalog
from opsnb.model import Status
from opsnb.records.index import Index, filled, statement
from opsnb.view import commands

_FOLDER = Path(__file__).with_name("sql")


def rows(index: Index, name: str, **parameters: Any) -> list[Row]:
    """Return the rows of the query in `sql/NAME.sql`."""
    return index.read(statement(name, _FOLDER), parameters)


@dataclass(frozen=True)
class Run:
    """One run, in the words of its record."""

    run_id: str
    runbook: str
    title: str
    target: str
    status: Status
    outcome: str
    """How it ended in a word: its status, or why it ended early."""
    broke: bool
    """Whether it did not run to its end, so that its findings are not all there are."""
    started: datetime
    seconds: float
    operator: str
    trigger: str
    acted: bool
    sentence: str
    """Why it failed, else its worst finding, else what it did or how many checks are ok."""
    next: str
    """The command that fixes its worst finding; empty if there is none."""
    parameters: Json[dict[str, Any]]
    source_sha256: str
    """Of its runbook's notebook."""

    @property
    def page(self) -> str:
        """The file of its page, in the folder of the records' pages."""
        return f"{self.run_id}.html"

    @property
    def command(self) -> str:
        """The line that runs the same again, without changing anything."""
        return commands.noted(catalog.again(self.runbook, self.target, self.parameters))


def newest(index: Index) -> list[Run]:
    """Return the newest run of each runbook on each target, the newest first.

    Of a run on several targets its members count, and those that could not start.
    """
    by_object: dict[tuple[str, str], Run] = {}
    for run in runs(rows(index, "newest")):
        by_object.setdefault((run.target, run.runbook), run)
    return list(by_object.values())


def named(index: Index, run_ids: Iterable[str]) -> dict[str, Run]:
    """Return these runs by their ids, the newest first."""
    past = runs(rows(index, "named", run_ids=list(run_ids)))
    return {run.run_id: run for run in past}


def runs(records: Iterable[Row]) -> list[Run]:
    """Return the runs of these rows."""
    return [filled(Run, row) for row in records]
