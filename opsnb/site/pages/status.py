"""The first page: the present state of each target at a glance, production before the demo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from sqlite3 import Row

from opsnb.config.file import DEMO
from opsnb.model import Status, worst
from opsnb.site.context import Page, Site
from opsnb.site.layout import page
from opsnb.site.present import State, present
from opsnb.site.runs import rows
from opsnb.site.strips import LENGTH, STEP, Strip, strips, worse
from opsnb.timetable.standing import Standing
from opsnb.view import commands

PATH = "index.html"

MOST = 20
"""Rows that a list keeps to."""
_DETAILED = 8  # targets that are shown with their checks
_CHECKS = 12  # checks of a target
_RUNS = 8  # runs of a target that are not ok


def pages(site: Site) -> Iterator[Page]:
    """Yield the first page."""
    yield Page(PATH, partial(home, site))


@dataclass
class _Card:
    """What the page shows of one target."""

    name: str
    is_configured: bool
    is_protected: bool
    states: list[State] = field(default_factory=list)
    """Of the newest run of each runbook, the worst first."""
    strips: Sequence[Strip] = ()
    """Its checks, the worst first."""

    @property
    def status(self) -> Status:
        """The worst of the runs."""
        return worst(state.status for state in self.states)

    @property
    def wrong(self) -> list[State]:
        """The runs that are not ok, as far as they are shown."""
        return [state for state in self.states if state.status is not Status.OK][:_RUNS]

    @property
    def fixed(self) -> list[State]:
        """The runs whose problem a later run found fixed."""
        return [state for state in self.states if state.fixed_by][:_RUNS]

    @property
    def well(self) -> list[State]:
        """The other runs that are ok."""
        return [state for state in self.states if state.status is Status.OK and not state.fixed_by]

    @property
    def left_out(self) -> int:
        """How many runs that are not ok are not shown."""
        return sum(state.status is not Status.OK for state in self.states) - len(self.wrong)

    @property
    def checks(self) -> Sequence[Strip]:
        """The checks that are shown."""
        return self.strips[:_CHECKS]

    @property
    def rank(self) -> tuple[bool, int, bool, str]:
        """How urgent it is, for sorting: the demo last, the worst first, production first."""
        severity = self.status.severity if self.states else -1
        return self.name == DEMO, -severity, not self.is_protected, self.name


def home(site: Site) -> str:
    """Return a card for each target: its newest runs, the worst first, and its checks.

    What was fixed counts as it was measured last. A target that only records know is shown as well.
    """
    cards = _cards(site)
    detailed = cards[:_DETAILED]
    found = strips(site.store.index, [card.name for card in detailed])
    for card in detailed:
        card.strips = found[card.name]
    got_worse = worse(site.store.index, site.built)
    schedules = sorted(site.standings, key=_urgency)
    counts = Counter(card.status for card in cards if card.states)
    return page(
        "status",
        path=PATH,
        title="Status",
        tab="Status",
        built=site.built,
        counts=[(status, counts[status]) for status in _WORST_FIRST if counts[status]],
        cards=detailed,
        others=cards[_DETAILED:],
        most=MOST,
        incidents=_incidents(site),
        worse=sorted(got_worse, key=lambda each: each[0].target == DEMO),
        schedules=[standing for standing in schedules if _urgency(standing)[0] < _ON_TIME],
        on_time=[standing for standing in schedules if _urgency(standing)[0] == _ON_TIME],
        length=LENGTH,
        width=STEP * LENGTH,
    )


_WORST_FIRST = sorted(Status, key=lambda status: -status.severity)
_ON_TIME = 3


def _urgency(standing: Standing) -> tuple[int, str]:
    places = (standing.is_late, bool(standing.unknown), bool(standing.missed))
    return (places.index(True) if True in places else _ON_TIME), standing.schedule.name


def _incidents(site: Site) -> list[tuple[Row, datetime, str]]:
    """Return the open incidents: the last run, when the first began, and the line that lists all.

    An incident is known by the label of its runs, and open until the last of them ends ok.
    """
    return [
        (
            row,
            datetime.fromisoformat(row["began"]),
            commands.line("records", "list", "--incident", row["incident"], "--limit", "0"),
        )
        for row in rows(site.store.index, "incidents", last=DEMO)
    ]


def _cards(site: Site) -> list[_Card]:
    tables = site.config.tables
    cards = {
        name: _Card(name, is_configured=True, is_protected=table.get("protected") is True)
        for name, table in tables.items()
    }
    for state in present(site.store.index, site.newest):
        name = state.run.target
        if name not in cards:
            cards[name] = _Card(name, is_configured=False, is_protected=False)
        cards[name].states.append(state)
    for card in cards.values():
        card.states.sort(key=lambda state: -state.status.severity)
    return sorted(cards.values(), key=lambda card: card.rank)
