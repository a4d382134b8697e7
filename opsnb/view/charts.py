"""Charts in one house style, drawn from a finding's rows.

A chart is inline SVG whose text and lines take the page's own colour (`currentColor`), so that
one drawing is legible in JupyterLab, on light and dark pages and in print. Its plain form is the
table of its data, and the limits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.view.drawing import TEXT, Drawing, Point, limits_in_words, moments, numbers
from opsnb.view.styles import COLOURS
from opsnb.view.tables import MOST_ROWS, rows_text

PALETTE = ("#4c8dff", "#2fa968", "#d9902f", "#d65c5c", "#9a6fd6", "#3fb0b8")
"""Series colours that differ for any colour vision, on light and dark pages."""

_MEANT: dict[str, str] = {
    "failed": PALETTE[3],
    "waiting": PALETTE[0],
    "active": PALETTE[1],
    "delayed": PALETTE[2],
    **{status.value: colour for status, colour in COLOURS.items()},
}
"""Colours that a part has in every chart; others take the next free one."""

_LONGEST_LABEL = 34
_DOTTED = 30  # with more points, a line has no dots
_NEAR = 3.0  # limits up to this many times the largest value are drawn
_ROW, _HEIGHT = 24, 120  # of a bar with the room around it, and of other charts, in pixels


@dataclass(frozen=True)
class Chart:
    """A drawing and its plain form."""

    title: str
    svg: str
    """Empty when there is nothing to draw; `text` then says why."""
    text: str


def bars(finding: Finding, *, by: str, parts: Sequence[str], title: str = "") -> Chart:
    """Return a horizontal bar for each row, named by column `by` and stacked from `parts`.

    Of many rows the worst are drawn, and the title says so.
    """
    finding, title = _worst(finding, parts, title or finding.title)

    def draw() -> Drawing:
        sums = [sum(float(row.get(part) or 0) for part in parts) for row in finding.rows]
        drawing = _rows(finding, by, max([*sums, 1]) * 1.05)
        others = (
            colour for colour in PALETTE if colour not in {_MEANT.get(part) for part in parts}
        )
        colours = {part: _MEANT.get(part) or next(others, TEXT) for part in parts}
        for number, row in enumerate(finding.rows):
            start = 0.0
            for part in parts:
                end = start + float(row.get(part) or 0)
                drawing.bar(start, end, number, colours[part])
                start = end
        drawing.legend(colours)
        drawing.limits(finding.threshold, upright=True)
        return drawing

    return _chart(title, finding, (by, *parts), draw)


def _rows(finding: Finding, by: str, most: float) -> Drawing:
    """Return a drawing with a place for each row, named by column `by`, and values from 0."""
    names = [outside.shortened(str(row[by]), _LONGEST_LABEL, "…") for row in finding.rows]
    count = len(names)
    drawing = Drawing((0, most), (count - 0.5, -0.5), names, _ROW * count, is_wide=False)
    drawing.ticks(numbers(most), list(enumerate(names)))
    return drawing


def samples(finding: Finding, *, value: str, title: str = "") -> Chart:
    """Return a dot for each row's `value`, in the order of the rows."""

    def draw() -> Drawing:
        values = [float(row[value]) for row in finding.rows]
        drawing = _plane(finding, (0.5, len(values) + 0.5), max([*values, 0.1]) * 1.25, "sample")
        points = list(enumerate(values, 1))
        drawing.line(points, PALETTE[0])
        drawing.dots(points, PALETTE[0])
        drawing.limits(finding.threshold)
        return drawing

    return _chart(title or finding.title, finding, (value,), draw)


def _plane(finding: Finding, over: tuple[float, float], most: float, what: str = "") -> Drawing:
    """Return a drawing with values from 0 upwards, over numbers of `what`, or else moments."""
    along_y = numbers(most)
    drawing = Drawing(over, (0, most), [label for _, label in along_y], _HEIGHT)
    along_x, context = (numbers(over[1], over[0], whole=True), what) if what else moments(*over)
    drawing.ticks(along_x, along_y, context)
    drawing.unit(finding.unit)
    return drawing


def lines(finding: Finding, *, over: str, parts: Sequence[str] = ()) -> Chart:
    """Return a line for each column of `parts`, or for all, over the numbers or moments in `over`.

    A line is broken where a row has no value.
    """
    names = parts or [name for name in (finding.rows[0] if finding.rows else {}) if name != over]

    def draw() -> Drawing:
        values = {
            name: [math.nan if row[name] is None else float(row[name]) for row in finding.rows]
            for name in names
        }
        most = max([value for line in values.values() for value in line if value > 0], default=0)
        at = [_place(row[over]) for row in finding.rows]
        is_time = isinstance(finding.rows[0][over], str)
        drawing = _plane(finding, _ends(at), max(most, 0.1) * 1.1, "" if is_time else over)
        colours = dict(zip(names, itertools.cycle(PALETTE)))
        for name, colour in colours.items():
            points = list(zip(at, values[name], strict=True))
            drawing.line(points, colour)
            if len(points) <= _DOTTED:
                drawing.dots(points, colour, 3)
        drawing.legend(colours)
        drawing.limits(finding.threshold)
        return drawing

    return _chart(finding.title, finding, (over, *names), draw)


def forecast(finding: Finding) -> Chart:
    """Return the measured values, the line through them, and its forecast.

    The rows have the time in `at`, then either `measured`, or the line's value `expected`, with its
    range `least` and `most` where that is known.
    """

    def points(column: str) -> list[Point]:
        rows = [row for row in finding.rows if row.get(column) is not None]
        return [(_place(row["at"]), float(row[column])) for row in rows]

    def draw() -> Drawing:
        top = max(value for _, value in [*points("measured"), *points("expected")])
        limits = finding.threshold.limits.values() if finding.threshold else ()
        # A limit far above the values would flatten them.
        top = max([top, 0.1, *(limit for limit in limits if limit < _NEAR * top)])
        drawing = _plane(finding, _ends([_place(row["at"]) for row in finding.rows]), top * 1.12)
        drawing.area([*points("least"), *reversed(points("most"))], PALETTE[4])
        drawing.line(points("expected"), PALETTE[4])
        drawing.dots(points("measured"), PALETTE[0], 3)
        drawing.limits(finding.threshold)
        return drawing

    columns = ("at", "measured", "expected", "least", "most")
    return _chart(finding.title, finding, columns, draw)


def _place(value: Any) -> float:
    """Return a number, or a moment in s since 1970; one without a zone is in UTC."""
    if not isinstance(value, str):
        return float(value)
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _ends(places: Sequence[float]) -> tuple[float, float]:
    """Return the first and the last place, apart from each other."""
    first, last = min(places), max(places)
    return (first, last) if first < last else (first - 1, last + 1)


def levels(finding: Finding, *, by: str, percent: str, title: str = "") -> Chart:
    """Return a bar from 0 to 100 % for each row, coloured by its status.

    Of many rows the worst are drawn, and the title says so.
    """
    finding, title = _worst(finding, (percent,), title or finding.title)

    def draw() -> Drawing:
        drawing, limit = _rows(finding, by, 100), finding.threshold
        for number, row in enumerate(finding.rows):
            value = float(row[percent])
            drawing.bar(0, 100, number, TEXT, 0.1)
            drawing.bar(0, value, number, COLOURS[limit.judge(value) if limit else Status.OK], 0.8)
            drawing.beside(number, f"{value:.0f} %")
        drawing.limits(limit, upright=True)
        return drawing

    return _chart(title, finding, (by, percent), draw)


def _worst(finding: Finding, parts: Sequence[str], title: str) -> tuple[Finding, str]:
    """Return the finding with as many rows as can be read in a chart, and the chart's title."""
    if len(finding.rows) <= MOST_ROWS:
        return finding, title
    is_low = finding.threshold is not None and finding.threshold.lower_is_worse

    def height(row: Row) -> float:
        return sum(float(row.get(part) or 0) for part in parts)

    rows = sorted(finding.rows, key=height, reverse=not is_low)[:MOST_ROWS]
    words = f"the {MOST_ROWS} {'lowest' if is_low else 'highest'} of {len(finding.rows)}"
    return finding.model_copy(update={"rows": rows}), f"{title}: {words}"


def timeline(finding: Finding, *, value: str, events: Finding | None = None) -> Chart:
    """Return a step line of `value` over the moments in column `at`, both of the rows.

    `events` are marked on the same axis, by the columns `at` and `event` of their rows.
    """

    def draw() -> Drawing:
        at = [_place(row["at"]) for row in finding.rows]
        values = [float(row[value]) for row in finding.rows]
        # The last step, too, is as wide as the others.
        at.append(at[-1] + (at[-1] - at[-2] if len(at) > 1 else 1))
        steps = [
            point
            for start, end, high in zip(at, at[1:], values, strict=False)
            for point in ((start, high), (end, high))
        ]
        drawing = _plane(finding, _ends(at), max([*values, 1]) * 1.35)
        drawing.area([(at[0], 0), *steps, (at[-1], 0)], PALETTE[3])
        drawing.line(steps, PALETTE[3])
        _mark(drawing, events.rows if events else [])
        return drawing

    return _chart(finding.title, finding, ("at", value), draw)


def _mark(drawing: Drawing, events: Sequence[Row]) -> None:
    """Mark each event at its time; events of one kind have one colour."""
    kinds = dict.fromkeys(str(row["event"]) for row in events)
    colours = dict(zip(kinds, itertools.cycle((PALETTE[0], *PALETTE[4:], *PALETTE[1:3]))))
    for row in events:
        drawing.moment(_place(row["at"]), colours[str(row["event"])])
    drawing.legend(colours)


def grid_html(charts: Sequence[Chart]) -> str:
    """Return the charts side by side, or below each other on a narrow page."""
    return (
        '<div class="opsnb-charts" style="display:flex;flex-wrap:wrap;gap:16px 24px">'
        + "".join(_figure(chart) for chart in charts)
        + "</div>"
    )


def grid_text(charts: Sequence[Chart]) -> str:
    """Return the charts' numbers as plain text."""
    return "\n\n".join(f"{chart.title}\n{chart.text}" for chart in charts)


def _figure(chart: Chart) -> str:
    body = chart.svg or f'<p style="opacity:.75;margin:4px 0">{escape(chart.text)}</p>'
    return (
        '<figure style="margin:0;flex:0 1 360px;min-width:0;font-family:system-ui,sans-serif">'
        f'<figcaption style="font-weight:600;font-size:14px;text-align:left;font-style:normal;'
        f'margin:0 0 2px;max-width:none">{escape(chart.title)}</figcaption>{body}</figure>'
    )


def _chart(
    title: str,
    finding: Finding,
    columns: Sequence[str],
    draw: Callable[[], Drawing],
) -> Chart:
    if not finding.rows:
        return Chart(title, "", f"No chart: {finding.message}")
    table: list[Row] = [{column: row.get(column) for column in columns} for row in finding.rows]
    text = rows_text(table)
    if finding.threshold and finding.threshold.limits:
        text += f"\nLimits: {limits_in_words(finding.threshold, finding.threshold.limits)}."
    return Chart(title, draw().svg(title), text)
