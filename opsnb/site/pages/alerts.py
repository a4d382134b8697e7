"""A page for each alert threshold, at an address that does not change: alerts can name it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from sqlite3 import Row

from opsnb.config.file import Config
from opsnb.config.systems import thresholds
from opsnb.model import Status, Threshold
from opsnb.records.stored import id_part
from opsnb.site.context import Page, Site
from opsnb.site.layout import page
from opsnb.site.pages import trends
from opsnb.view import addresses
from opsnb.view.drawing import limits_in_words
from opsnb.view.formats import number

MOST = 20
"""Readings that a page shows."""


@dataclass(frozen=True)
class _Reading:
    """What was read last of the metric on a target."""

    target: str
    label: str
    status: Status
    value: str
    at: datetime
    run_id: str
    history: str
    """The address of its trend, from the site's root."""

    @classmethod
    def of(cls, row: Row) -> _Reading:
        history = trends.address(row["target"], row["name"].partition(".")[0])
        return cls(
            row["target"],
            row["label"] or row["name"],
            Status(row["status"]),
            number(row["value"], row["unit"]),
            datetime.fromisoformat(row["at"]),
            row["run_id"],
            f"{history}#{id_part(row['key'])}",
        )


def pages(site: Site) -> Iterator[Page]:
    """Yield a page for each threshold."""
    readings: dict[str, list[Row]] = {}
    for row in site.readings:
        if row["threshold"]:
            metric = json.loads(row["threshold"]).get("metric", "")
            readings.setdefault(metric, []).append(row)
    for metric, threshold in thresholds().items():
        found = readings.get(metric, [])
        yield Page(addresses.alert(metric), partial(_alert, site, threshold, found))


def _alert(site: Site, threshold: Threshold, found: Sequence[Row]) -> str:
    known = sorted(map(_Reading.of, found), key=lambda each: (-each.status.severity, each.target))
    limit = _everywhere(site.config, threshold)
    return page(
        "alert",
        path=addresses.alert(threshold.metric),
        title=threshold.label,
        tab="Runbooks",
        threshold=threshold,
        limits=limits_in_words(limit, limit.limits),
        own=list(_own(site.config, limit)),
        has_runbook=threshold.runbook in site.runbook_ids,
        readings=known[:MOST],
        left_out=len(known[MOST:]),
    )


def _everywhere(config: Config, threshold: Threshold) -> Threshold:
    """Return the limits that hold where a target has none of its own."""
    own = config.thresholds.get(threshold.metric)
    return replace(threshold, **own.model_dump(exclude_unset=True)) if own else threshold


def _own(config: Config, threshold: Threshold) -> Iterator[tuple[str, str, str]]:
    """Yield each target with limits of its own: its name, warn and crit, as they are written."""
    for name, table in config.tables.items():
        limits = table.get("thresholds")
        own = limits.get(threshold.metric) if isinstance(limits, dict) else None
        if isinstance(own, dict):
            warn, crit = own.get("warn", threshold.warn), own.get("crit", threshold.crit)
            yield name, "" if warn is None else str(warn), "" if crit is None else str(crit)
