"""What the pages of a site are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from sqlite3 import Row

import typer

from opsnb.catalog import RunbookInfo
from opsnb.config.file import Config
from opsnb.errors import OpsnbError
from opsnb.records.store import Store
from opsnb.records.stored import RUN_ID
from opsnb.site.runs import Run, newest, rows
from opsnb.site.usage import Usage, usage
from opsnb.timetable.standing import Standing, standings
from opsnb.timetable.times import local_now


@dataclass(frozen=True)
class Site:
    """One build of a site: the configuration, the runbooks and the records."""

    config: Config
    infos: Sequence[RunbookInfo]
    store: Store
    app: typer.Typer
    """The command line, for its reference page."""
    built: datetime

    @cached_property
    def newest(self) -> list[Run]:
        """The newest run of each runbook on each target, the newest first."""
        return newest(self.store.index)

    @cached_property
    def readings(self) -> list[Row]:
        """The newest reading of each metric of each target, as metrics.sql returns it."""
        return rows(self.store.index, "metrics")

    @cached_property
    def usage(self) -> Mapping[str, Usage]:
        """How each runbook was used that has run, by its id."""
        return usage(self.store.index)

    @cached_property
    def broken(self) -> dict[str, str]:
        """The records that cannot be read, or whose links are damaged: run id and a sentence."""
        found = self.store.index.broken()
        return {run_id: why for run_id, why in found.items() if RUN_ID.fullmatch(run_id)}

    @cached_property
    def record_ids(self) -> frozenset[str]:
        """The ids of the runs whose record has a page."""
        rows = self.store.index.read("SELECT run_id FROM runs")
        return frozenset(row["run_id"] for row in rows) | self.broken.keys()

    @cached_property
    def runbook_ids(self) -> frozenset[str]:
        """The ids of the runbooks that have a page."""
        return frozenset(info.id for info in self.infos)

    @cached_property
    def standings(self) -> list[Standing]:
        """The state of the schedules; none when they are invalid: every command says so."""
        try:
            return standings(self.config, self.store, local_now())
        except OpsnbError:
            return []


@dataclass(frozen=True)
class Page:
    """One page of a site, which is written when it has changed."""

    path: str
    """From the site's root, with slashes, such as `records/2026-11.html`."""
    html: Callable[[], str]
    """Renders it. Called only when `made_from` has changed, or is empty."""
    made_from: str = ""
    """A digest of everything that the page shows, the code and the templates left aside; empty when
    rendering it costs less than knowing that."""


Pages = Callable[[Site], Iterable[Page]]
"""Yields the pages of one kind."""
