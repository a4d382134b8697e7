"""The first page: the present state of each target at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from opsnb.model import Status, worst
from opsnb.site.context import Page, Site
from opsnb.site.entries import Entry, present
from opsnb.site.layout import page
from opsnb.timetable.standing import Standing, covering

PATH = "index.html"


def pages(site: Site) -> Iterator[Page]:
    """Yield the first page."""
    yield Page(PATH, partial(_status, site))


def _status(site: Site) -> str:
    return home(site.entries, site.config.names, site.standings)


@dataclass(frozen=True)
class _Card:
    """What the page shows of one target."""

    name: str
    entries: list[Entry]
    """The newest record of each runbook, the worst first."""
    is_configured: bool
    schedules: list[Standing]
    """Those that check it."""

    @property
    def status(self) -> Status:
        """The worst of the entries."""
        return worst(entry.status for entry in self.entries)

    @property
    def rank(self) -> tuple[int, str]:
        """How urgent it is, for sorting: by its status, and by schedules that are late."""
        late = Status.WARN.severity if any(each.is_late for each in self.schedules) else -1
        return -max(self.status.severity if self.entries else -1, late), self.name


def home(
    entries: Sequence[Entry], targets: Sequence[str], schedules: Sequence[Standing] = ()
) -> str:
    """Return a card for each target: its newest record of each runbook, the worst first.

    What was fixed counts as it was measured last, and its row names the run that measured it.
    `targets` are those of the configuration; a target that only records know is shown as well.
    Each card has the `schedules` that check its target, by name, by a glob or by `all`.
    """
    by_target: dict[str, list[Entry]] = {name: [] for name in targets}
    for entry in present(entries):
        by_target.setdefault(entry.target, []).append(entry)
    cards = [
        _Card(
            name,
            sorted(found, key=lambda entry: -entry.status.severity),
            name in targets,
            covering(schedules, name),
        )
        for name, found in by_target.items()
    ]
    return page(
        "status",
        path=PATH,
        title="Current state",
        tab="Status",
        cards=sorted(cards, key=lambda card: card.rank),
    )
