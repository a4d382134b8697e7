"""Trends: the history of each metric of each target, on a page for each system of a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from itertools import groupby
from operator import itemgetter
from sqlite3 import Row

from opsnb.model import Status, worst
from opsnb.records.stored import id_part
from opsnb.site.context import Page, Site
from opsnb.site.digests import digest
from opsnb.site.layout import page
from opsnb.site.runs import rows
from opsnb.site.trend import Event, Trend

PATH = "trends/index.html"
MOST = 20
"""Charts of a page, and targets of the list."""


@dataclass(frozen=True)
class _System:
    """The metrics of one system of a target, as they were read last."""

    past: _Past
    name: str
    metrics: Sequence[Row]

    @property
    def path(self) -> str:
        """The address of its page, from the site's root."""
        return address(self.past.target, self.name)

    @property
    def status(self) -> Status:
        """The worst of the newest readings."""
        return worst(Status(row["status"]) for row in self.metrics)

    @property
    def version(self) -> str:
        """Changes with the history, and with what is marked in it."""
        readings = (f"{row['key']} {row['version']}" for row in self.metrics)
        return digest([*readings, *(f"{event.what} {event.at}" for event in self.past.events)])


class _Past:
    """What was measured on a target and what happened to it, read when it is needed."""

    def __init__(self, site: Site, target: str, metrics: Sequence[Row]) -> None:
        self._index = site.store.index
        self.target = target
        self._metrics = metrics

    @cached_property
    def trends(self) -> list[Trend]:
        """Its metrics, the worst first."""
        values: dict[str, list[float]] = {}
        times: dict[str, list[float]] = {}
        for key, value, at in rows(self._index, "readings", target=self.target):
            values.setdefault(key, []).append(value)
            times.setdefault(key, []).append(at)
        newest = {row["key"]: row for row in sorted(self._metrics, key=itemgetter("at"))}
        trends = [Trend.of(row, times[key], values[key]) for key, row in newest.items()]
        return sorted(trends, key=lambda trend: trend.rank)

    @cached_property
    def events(self) -> list[Event]:
        """What happened to it, the oldest first."""
        return [
            Event(row["event"], datetime.fromisoformat(row["at"]).timestamp())
            for row in rows(self._index, "events", target=self.target)
        ]


def address(target: str, system: str) -> str:
    """Return the page of the metrics of a system of a target, from the site's root."""
    folder = id_part(target)
    if folder != target:  # so that names which differ by signs only have a folder each
        folder = f"{folder}-{digest([target])[:6]}"
    return f"trends/{folder}/{id_part(system)}.html"


def pages(site: Site) -> Iterator[Page]:
    """Yield the list of what has a history, and the page of each system of each target."""
    all_systems = []
    for target, of_target in groupby(site.readings, itemgetter("target")):
        metrics = list(of_target)
        past = _Past(site, target, metrics)
        for system, of_system in groupby(metrics, lambda row: row["name"].partition(".")[0]):
            all_systems.append(_System(past, system, list(of_system)))
    yield Page(PATH, partial(_overview, all_systems))
    for system in all_systems:
        yield Page(system.path, partial(_history, system), system.version)


def _overview(found: Sequence[_System]) -> str:
    targets: dict[str, list[_System]] = {}
    for system in found:
        targets.setdefault(system.past.target, []).append(system)
    ordered = sorted(
        targets.items(),
        key=lambda item: (-worst(each.status for each in item[1]).severity, item[0]),
    )
    return page(
        "trends",
        path=PATH,
        title="Trends",
        tab="Trends",
        targets=ordered[:MOST],
        left_out=len(ordered[MOST:]),
    )


def _history(system: _System) -> str:
    found = [trend for trend in system.past.trends if trend.system == system.name]
    return page(
        "trend",
        path=system.path,
        title=f"{system.past.target}: {system.name}",
        tab="Trends",
        target=system.past.target,
        trends=[(trend, id_part(trend.key)) for trend in found[:MOST]],
        left_out=[trend.label for trend in found[MOST:]],
        events=system.past.events,
    )
