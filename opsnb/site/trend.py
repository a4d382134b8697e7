"""The history of one metric of a target: what is usual by hour of week, and what changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import groupby
from operator import itemgetter
from sqlite3 import Row
from statistics import median

from markupsafe import Markup
from pydantic import TypeAdapter

from opsnb.model import Status, Threshold
from opsnb.site.templates import render
from opsnb.view.formats import number

_Point = tuple[float, float]
_Mark = tuple[str, float]

_WIDTH, _HEIGHT, _TOP = 380, 90, 16
"""Of the plane, in pixels, which a page shrinks on a narrow screen; and what is above it."""
_NEAR = 2.5  # limits up to this many times the largest value are drawn
_BINS = 120
"""Points that a picture has at most."""
_FEWEST = 5  # readings of an hour of the week; with fewer, all readings say what is usual
_BAND = 3 * 1.4826  # of the median absolute deviation: three standard deviations of a normal one
_HOUR_S = 3600.0
_HOURS = 168
_WEEK_S = 7 * 86_400.0
_BEFORE_S = 4 * _WEEK_S
_APART = 8
"""Pixels between two marks; of what happened closer to each other, the weightiest is marked."""
_KINDS = ("incident", "deployment", "action")
"""What happens to a target, the weightiest first."""


@dataclass(frozen=True)
class Event:
    """Something that happened to the target."""

    what: str
    """`deployment`, `action` or `incident`."""
    at: float
    """In seconds since 1970."""


@dataclass(frozen=True)
class Trend:
    """The history of one metric of a target: numbers and their times, the oldest first."""

    key: str
    name: str
    label: str
    unit: str
    status: Status
    """Of the newest reading."""
    run_id: str
    """The run that read it."""
    threshold: Threshold | None
    """As it was at the newest reading."""
    at: Sequence[float]
    """In seconds since 1970."""
    values: Sequence[float]

    @classmethod
    def of(cls, newest: Row, at: Sequence[float], values: Sequence[float]) -> Trend:
        """Return the trend of a metric by its newest reading and by all of its readings."""
        return cls(
            newest["key"],
            newest["name"],
            newest["label"] or newest["name"],
            newest["unit"],
            Status(newest["status"]),
            newest["run_id"],
            _threshold(newest["threshold"]) if newest["threshold"] else None,
            at,
            values,
        )

    @property
    def system(self) -> str:
        """The system that it belongs to, such as `cache`."""
        return self.name.partition(".")[0]

    @property
    def newest(self) -> datetime:
        """When it was read last."""
        return datetime.fromtimestamp(self.at[-1], UTC)

    @property
    def value(self) -> str:
        """What was read last, with its unit."""
        return number(self.values[-1], self.unit)

    @cached_property
    def _usual(self) -> list[_Point]:
        """The ends of what is usual at each reading: median and MAD of that hour of the week.

        Where an hour has few readings, those of any hour.
        """
        # 1970 began on a Thursday, UTC.
        hours = [int(at // _HOUR_S) % _HOURS for at in self.at]
        by_hour: dict[int, list[float]] = {}
        for hour, value in zip(hours, self.values, strict=True):
            by_hour.setdefault(hour, []).append(value)
        known = {hour: _band(values) for hour, values in by_hour.items() if len(values) >= _FEWEST}
        at_any_hour = _band(self.values)
        return [known.get(hour, at_any_hour) for hour in hours]

    @cached_property
    def unusual(self) -> int:
        """How many readings of the last 7 days are outside of what is usual."""
        first = bisect_left(self.at, self.at[-1] - _WEEK_S)
        recent = zip(self.values[first:], self._usual[first:], strict=True)
        return sum(not low <= value <= high for value, (low, high) in recent)

    @cached_property
    def change(self) -> tuple[float, float] | None:
        """The medians of the 4 weeks before the last 7 days, and of these; None without both."""
        week = bisect_left(self.at, self.at[-1] - _WEEK_S)
        before = self.values[bisect_left(self.at, self.at[-1] - _WEEK_S - _BEFORE_S) : week]
        return (median(before), median(self.values[week:])) if before else None

    @property
    def words(self) -> str:
        """Whether it gets worse, in words."""
        parts = []
        if self.change:
            before, now = (number(value, self.unit) for value in self.change)
            same = f"median {now}, as in the 4 weeks before"
            parts.append(same if before == now else f"median {now}, {before} in the 4 weeks before")
        if self.unusual:
            parts.append(f"{self.unusual} unusual")
        return f"Last 7 days: {', '.join(parts)}." if parts else ""

    @property
    def rank(self) -> tuple[int, str, str]:
        """The worst first."""
        return -self.status.severity, self.label, self.key

    def picture(self, events: Sequence[Event]) -> Markup:
        """Return the history as SVG: thresholds, the usual band, and marks for the events."""
        points, band = self._points()
        limits = self.threshold.limits if self.threshold else {}
        most = max([high for *_, high in band] + [value for _, value in points])
        near = {status: limit for status, limit in limits.items() if limit <= _NEAR * most}
        high = max([most, *near.values()]) * 1.1 or 1.0
        low = min([0.0, *(value for _, value in points)])
        first, last = self.at[0], max(self.at[-1], self.at[0] + 60)

        def x(at: float) -> float:
            return round(_WIDTH * (at - first) / (last - first), 1)

        def y(value: float) -> float:
            share = (min(max(value, low), high) - low) / (high - low)
            return round(_TOP + _HEIGHT * (1 - share), 1)

        outline = [(at, top) for at, _, top in band] + [(at, low) for at, low, _ in reversed(band)]
        marks = _marks((event.what, x(event.at)) for event in events if first <= event.at <= last)
        html = render(
            "trend_picture",
            title=f"{self.label}: {self.value}. {self.words}",
            width=_WIDTH,
            top=_TOP,
            bottom=_TOP + _HEIGHT,
            band=_path((x(at), y(value)) for at, value in outline),
            line=_path((x(at), y(value)) for at, value in points),
            only=(x(points[0][0]), y(points[0][1])) if len(points) == 1 else None,
            limits=[(status, y(limit), number(limit)) for status, limit in near.items()],
            highest=number(high, self.unit),
            lowest=number(low),
            first=datetime.fromtimestamp(first, UTC),
            last=datetime.fromtimestamp(last, UTC),
            marks=marks,
            kinds=[kind for kind in _KINDS if kind in dict(marks)],
        )
        return Markup(html.replace("\n", ""))

    def _points(self) -> tuple[list[_Point], list[tuple[float, float, float]]]:
        """Return the readings, and the ends of what is usual at each.

        When there are many, they are put into bins: the worst reading of each, and what is usual on
        average.
        """
        pairs = list(zip(self.at, self.values, strict=True))
        if len(pairs) <= _BINS:
            return pairs, [(at, *ends) for at, ends in zip(self.at, self._usual, strict=True)]
        span = (self.at[-1] - self.at[0]) / _BINS or 1.0
        worst = min if self.threshold and self.threshold.lower_is_worse else max
        points, band = [], []
        bins = [int((at - self.at[0]) / span) for at in self.at]
        for _, found in groupby(zip(bins, pairs, self._usual, strict=True), itemgetter(0)):
            _, readings, ends = zip(*found, strict=True)
            points.append(worst(readings, key=itemgetter(1)))
            lows, highs = zip(*ends, strict=True)
            band.append((points[-1][0], sum(lows) / len(lows), sum(highs) / len(highs)))
        return points, band


def _marks(events: Iterable[_Mark]) -> list[_Mark]:
    """Return the marks of what happened, given by kind and place, with room between them."""
    places: dict[int, _Mark] = {}
    for mark in events:
        place = int(mark[1] // _APART)
        places[place] = min(places.get(place, mark), mark, key=lambda each: _KINDS.index(each[0]))
    return list(places.values())


def _path(points: Iterable[_Point]) -> str:
    return "L".join(f"{x:g} {y:g}" for x, y in points)


def _band(values: Sequence[float]) -> tuple[float, float]:
    middle = median(values)
    spread = _BAND * median(abs(value - middle) for value in values)
    return middle - spread, middle + spread


@lru_cache(maxsize=1024)
def _threshold(limits: str) -> Threshold:
    return TypeAdapter(Threshold).validate_json(limits)
