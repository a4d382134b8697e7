"""Drawing charts: SVG in one style, with fixed margins, for a page.

It is written here and not by matplotlib, which takes 40 ms and 15 kB for the same picture. Every
run draws some, and what is drawn is searched for secrets, kept in the record and published.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opsnb.model import Status, Threshold
from opsnb.view.formats import number
from opsnb.view.html import render
from opsnb.view.styles import COLOURS

# In pixels, which a page shrinks on a narrow screen.
WIDTH = 353
_MARGIN, _WIDE_MARGIN = 10, 36  # on the right; the wide one has room for a number
_TOP = 18
_LEAST_LEFT = 20
_LABEL_GAP = 5
_LINE = 12
_MOST_TICKS = 6
TEXT = "currentColor"

Tick = tuple[float, str]
Point = tuple[float, float]

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_TICKS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE_S * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(_HOUR_S * hours for hours in (1, 2, 3, 6, 12)),
    *(_DAY_S * days for days in (1, 2, 7, 14)),
)
_MONTH_S = 30.4 * _DAY_S


@dataclass(frozen=True)
class Scale:
    """Where values lie between two places; those beyond an end lie at that end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of `value`, in pixels."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(self.start + min(max(share, 0), 1) * (self.end - self.start), 1)


@dataclass(frozen=True)
class _Path:
    d: str
    fill: str = "none"
    stroke: str = ""
    width: float = 1
    opacity: float = 1
    is_dashed: bool = False
    is_dotted: bool = False


@dataclass(frozen=True)
class _Text:
    x: float
    y: float
    words: str
    anchor: str = "start"
    colour: str = ""


class Drawing:
    """A chart in the making: a plane with two scales, and what stands on and around it."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        labels: Iterable[str],
        height: float,
        *,
        is_wide: bool = True,
    ) -> None:
        """Take the ends of both scales, the labels that stand to the left, and the plane's height.

        The vertical scale runs upwards; one whose first end is larger runs downwards. One that is
        not `is_wide` has room for a number at its right.
        """
        self._right = WIDTH - (_MARGIN if is_wide else _WIDE_MARGIN)
        self._left = max(round(max(map(_wide, labels), default=0)) + _LABEL_GAP, _LEAST_LEFT)
        self._bottom = self._end = _TOP + height
        low, high = sorted(y)
        starts, ends = (self._bottom, _TOP) if y == (low, high) else (_TOP, self._bottom)
        self.x = Scale(*x, self._left, self._right)
        self.y = Scale(low, high, starts, ends)
        self._paths: list[_Path] = []
        self._texts: list[_Text] = []

    def ticks(self, along_x: Sequence[Tick], along_y: Sequence[Tick], context: str = "") -> None:
        """Draw the axes and the labels at their ticks; `context` stands below their right end."""
        xs, ys = [self.x(at) for at, _ in along_x], [self.y(at) for at, _ in along_y]
        across = "".join(f"M{self._left} {at}H{self._right}" for at in ys)
        grid = "".join(f"M{at} {_TOP}V{self._bottom}" for at in xs) + across
        self._paths += [
            _Path(grid, stroke=TEXT, opacity=0.12),
            _Path(f"M{self._left} {_TOP}V{self._bottom}H{self._right}", stroke=TEXT, opacity=0.7),
        ]
        y = self._below()
        self._texts += [
            _Text(x, y, label, "middle" if x + _wide(label) / 2 < WIDTH else "end")
            for x, (_, label) in zip(xs, along_x, strict=True)
        ]
        self._texts += [
            _Text(self._left - _LABEL_GAP, round(y + 3, 1), label, "end")
            for y, (_, label) in zip(ys, along_y, strict=True)
        ]
        if context:
            self._texts.append(_Text(self._right, self._below(), context, "end"))

    def unit(self, unit: str) -> None:
        """Write the unit of the vertical axis above it."""
        self._texts.append(_Text(0, _TOP - 9, unit))

    def bar(self, low: float, high: float, row: int, colour: str, opacity: float = 1) -> None:
        """Draw a bar from `low` to `high` at the row `row`."""
        start, end, y = self.x(low), self.x(high), self.y(row)
        if end > start:
            d = f"M{start} {y - 6:g}H{end}v12H{start}Z"
            self._paths.append(_Path(d, fill=colour, opacity=opacity))

    def beside(self, row: int, words: str) -> None:
        """Write `words` to the right of the row `row`."""
        self._texts.append(_Text(self._right + 4, self.y(row) + 3, words))

    def line(self, points: Sequence[Point], colour: str) -> None:
        """Draw a line, broken where a point has no finite value."""
        parts, pen = [], "M"
        for x, y in points:
            if math.isfinite(y):
                parts.append(f"{pen}{self.x(x):g} {self.y(y):g}")
            pen = "L" if math.isfinite(y) else "M"
        self._paths.append(_Path("".join(parts), stroke=colour, width=1.3))

    def dots(self, points: Sequence[Point], colour: str, width: float = 4) -> None:
        """Draw a dot at each point that has a finite value."""
        d = "".join(f"M{self.x(x):g} {self.y(y):g}h0" for x, y in points if math.isfinite(y))
        self._paths.append(_Path(d, stroke=colour, width=width, is_dotted=True))

    def area(self, points: Sequence[Point], colour: str) -> None:
        """Fill the area within `points`."""
        if points:
            d = "L".join(f"{self.x(x):g} {self.y(y):g}" for x, y in points)
            self._paths.append(_Path(f"M{d}Z", fill=colour, opacity=0.3))

    def moment(self, at: float, colour: str) -> None:
        """Draw a dashed line at `at` on the horizontal axis."""
        self._dashed(f"M{self.x(at)} {_TOP}V{self._bottom}", colour)

    def _dashed(self, d: str, colour: str) -> None:
        self._paths.append(_Path(d, stroke=colour, width=1.4, is_dashed=True))

    def legend(self, colours: Mapping[str, str]) -> None:
        """Name the colours below the axis."""
        x, y = 0.0, 0.0
        for name, colour in colours.items():
            wide = _wide(name) + 24
            if not x or x + wide > WIDTH:
                x, y = self._left, self._below() + 2
                self._end += 2
            self._paths.append(_Path(f"M{x:g} {y - 7:g}h8v8h-8Z", fill=colour))
            self._texts.append(_Text(round(x + 11, 1), y, name))
            x += wide

    def below(self, words: str) -> None:
        """Write `words` below all else, on the right."""
        if words:
            self._texts.append(_Text(self._right, self._below(), words, "end"))

    def _below(self) -> float:
        self._end += _LINE
        return self._end

    def limits(self, threshold: Threshold | None, *, upright: bool = False) -> None:
        """Mark the limits within the scale, and name those beyond it below all else.

        On the vertical axis, or `upright` on the horizontal one.
        """
        if threshold is None:
            return
        scale = self.x if upright else self.y
        near = {status: limit for status, limit in threshold.limits.items() if limit <= scale.high}
        y = 0.0
        for status, limit in sorted(near.items(), key=lambda item: -item[1]):
            at, words = scale(limit), f"{status} {number(limit)}"
            if upright:
                self._dashed(f"M{at} {_TOP}V{self._bottom}", COLOURS[status])
                # The labels of limits that stand close together would cover each other.
                anchor = "end" if limit == min(near.values()) and at > WIDTH / 3 else "start"
                place = (at, _TOP - 4.0)
            else:
                self._dashed(f"M{self._left} {at}H{self._right}", COLOURS[status])
                anchor = "end"
                y = max(at - 3, y + 9)
                place = (self._right, y)
            self._texts.append(_Text(*place, words, anchor, COLOURS[status]))
        self.below(_beyond(threshold, scale.high))

    def svg(self, title: str) -> str:
        """Return what is drawn."""
        height = round(self._end + 5)
        paths = [path for path in self._paths if path.d]
        return render(
            "chart", title=title, width=WIDTH, height=height, paths=paths, texts=self._texts
        ).replace("\n", "")


def _wide(words: str) -> float:
    """Return about how many pixels `words` take."""
    return sum(9 if glyph > "\u2e7f" else 7 if glyph.isupper() else 5.2 for glyph in words)


def _beyond(threshold: Threshold, shown_to: float) -> str:
    """Return the limits beyond the axis in words, if any."""
    far = {status: limit for status, limit in threshold.limits.items() if limit > shown_to}
    return f"{limits_in_words(threshold, far)}: beyond the axis" if far else ""


def limits_in_words(threshold: Threshold, limits: Mapping[Status, float]) -> str:
    """Return limits in words: `warn above 80 %, crit above 90 %`."""
    side = "below" if threshold.lower_is_worse else "above"
    return ", ".join(
        f"{status} {side} {number(limit, threshold.unit)}" for status, limit in limits.items()
    )


def numbers(high: float, low: float = 0, *, whole: bool = False) -> list[Tick]:
    """Return round numbers from `low` to `high`, at most six steps apart; `whole` without parts."""
    least = max((high - low) / _MOST_TICKS, 1 if whole else 1e-12)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= least * 0.999)
    places = range(math.ceil(low / step), math.floor(high / step * 1.0001) + 1)
    return [(place * step, number(round(place * step, 12))) for place in places]


def moments(low: float, high: float) -> tuple[list[Tick], str]:
    """Return ticks from one moment to another, in s since 1970, and the day or year for them."""
    least = (high - low) / _MOST_TICKS
    step = next((step for step in _TICKS_S if step >= least), None)
    last = datetime.fromtimestamp(high, UTC)
    if step is None:
        return _months(low, high, math.ceil(least / _MONTH_S)), ""
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    ticks = [(float(place * step), _moment(place * step, step)) for place in places]
    return ticks, f"{last:%Y}" if step >= _DAY_S else f"{last:%F} UTC"


def _moment(at: float, step: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    if step >= _DAY_S or (at % _DAY_S == 0 and step >= _HOUR_S):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M}" if step >= _MINUTE_S else f"{moment:%T}"


def _months(low: float, high: float, step: int) -> list[Tick]:
    first, last = (datetime.fromtimestamp(at, UTC) for at in (low, high))
    months = range(first.year * 12 + first.month, last.year * 12 + last.month)
    starts = [datetime(at // 12, at % 12 + 1, 1, tzinfo=UTC) for at in months if at % step == 0]
    return [(start.timestamp(), f"{start:%b %Y}") for start in starts]
