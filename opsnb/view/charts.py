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
from datetime import datetime
from html import escape
from typing import Any

from opsnb.model import Finding, Row, Status, Threshold, now
from opsnb.redaction import outside
from opsnb.view.drawing import (
    TEXT,
    WIDTH,
    Frame,
    date_ticks,
    draw_svg,
    limits_in_words,
    mark_limits,
    prepare,
)
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
_SQUARE = 7.0  # points: the mark of a bar in the legend
_POINT_ROWS = 4  # so many rows in a point of the width, and a line shows not all of them


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

    def draw(frame: Frame) -> None:
        axes = frame.axes
        names = [outside.shortened(str(row[by]), _LONGEST_LABEL, "…") for row in finding.rows]
        left = [0.0] * len(names)
        others = (
            colour for colour in PALETTE if colour not in {_MEANT.get(part) for part in parts}
        )
        for part in parts:
            colour = _MEANT.get(part) or next(others, TEXT)
            values = [float(row.get(part) or 0) for row in finding.rows]
            right = [start + value for start, value in zip(left, values, strict=True)]
            frame.bars(left, right, color=colour)
            frame.legend.append((part, {"color": colour, "lw": _SQUARE}))
            left = right
        axes.set_xlim(0, max([*left, 1]) * 1.05)
        frame.names(names)
        mark_limits(frame, finding.threshold, axes.get_xlim()[1])

    return _chart(title, finding, (by, *parts), draw, rows=len(finding.rows))


def samples(finding: Finding, *, value: str, title: str = "") -> Chart:
    """Return a dot for each row's `value`, in the order of the rows."""

    def draw(frame: Frame) -> None:
        axes = frame.axes
        values = [float(row[value]) for row in finding.rows]
        axes.plot(range(1, len(values) + 1), values, "o-", color=PALETTE[0], lw=1, ms=4)
        axes.set_ylim(0, max([*values, 0.1]) * 1.25)
        axes.set_ylabel(finding.unit)
        axes.set_xlabel("sample")
        axes.locator_params(axis="x", integer=True)
        mark_limits(frame, finding.threshold, axes.get_ylim()[1])

    return _chart(title or finding.title, finding, (value,), draw)


def lines(finding: Finding, *, over: str, parts: Sequence[str] = ()) -> Chart:
    """Return a line for each column of `parts`, or for all, over the numbers or moments in `over`.

    A line is broken where a row has no value.
    """
    names = parts or [name for name in (finding.rows[0] if finding.rows else {}) if name != over]

    def draw(frame: Frame) -> None:
        axes = frame.axes
        at: Any = []
        mark = "" if len(finding.rows) > _DOTTED else "."
        for name, colour in zip(names, itertools.cycle(PALETTE)):
            rows = _visible(finding.rows, name)
            at = [_place(row[over]) for row in rows]
            values = [math.nan if row[name] is None else row[name] for row in rows]
            axes.plot(at, values, color=colour, lw=1.4, marker=mark)
            frame.legend.append((name, {"color": colour, "lw": 1.4}))
        axes.set_ylim(0, max(axes.get_ylim()[1], 0.1) * 1.1)
        axes.set_ylabel(finding.unit)
        if at and isinstance(at[0], datetime):
            date_ticks(axes)
        else:
            axes.set_xlabel(over)
        mark_limits(frame, finding.threshold, axes.get_ylim()[1])

    return _chart(finding.title, finding, (over, *names), draw)


def forecast(finding: Finding) -> Chart:
    """Return the measured values, the line through them, and its forecast.

    The rows have the time in `at`, then either `measured`, or the line's value `expected`, with its
    range `least` and `most` where that is known.
    """

    def draw(frame: Frame) -> None:
        axes = frame.axes
        seen = [row for row in finding.rows if row.get("measured") is not None]
        line = [row for row in finding.rows if row.get("expected") is not None]
        spread = [row for row in line if row.get("most") is not None]
        axes.plot(_moments(seen), [row["measured"] for row in seen], ".", color=PALETTE[0], ms=5)
        axes.plot(_moments(line), [row["expected"] for row in line], color=PALETTE[4], lw=1.4)
        axes.fill_between(
            _moments(spread),
            [row["least"] for row in spread],
            [row["most"] for row in spread],
            color=PALETTE[4],
            alpha=0.25,
            lw=0,
        )
        top = max([row["measured"] for row in seen] + [row["expected"] for row in line])
        limits = finding.threshold.limits.values() if finding.threshold else ()
        # A limit far above the values would flatten them.
        top = max([top, 0.1, *(limit for limit in limits if limit < _NEAR * top)])
        axes.set_ylim(0, top * 1.12)
        axes.set_ylabel(finding.unit)
        date_ticks(axes)
        mark_limits(frame, finding.threshold, axes.get_ylim()[1])

    columns = ("at", "measured", "expected", "least", "most")
    return _chart(finding.title, finding, columns, draw)


def _moments(rows: Sequence[Row]) -> Any:
    return [datetime.fromisoformat(row["at"]) for row in rows]


def _visible(rows: Sequence[Row], name: str) -> Sequence[Row]:
    """Return the rows that a line can show: in each point of its width the extremes and a gap."""
    wide = len(rows) / WIDTH
    if wide <= _POINT_ROWS:
        return rows
    kept: dict[int, None] = {0: None}
    for point in range(WIDTH):
        places = range(round(point * wide), round((point + 1) * wide))
        gaps = [place for place in places if rows[place][name] is None]
        known = [place for place in places if rows[place][name] is not None]
        ends = (
            {min(known, key=lambda at: rows[at][name]), max(known, key=lambda at: rows[at][name])}
            if known
            else set()
        )
        kept |= dict.fromkeys(sorted({*gaps[:1], *ends}))
    kept[len(rows) - 1] = None
    return [rows[place] for place in kept]


def _place(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def levels(finding: Finding, *, by: str, percent: str, title: str = "") -> Chart:
    """Return a bar from 0 to 100 % for each row, coloured by its status.

    Of many rows the worst are drawn, and the title says so.
    """
    finding, title = _worst(finding, (percent,), title or finding.title)

    def draw(frame: Frame) -> None:
        axes = frame.axes
        names = [outside.shortened(str(row[by]), _LONGEST_LABEL, "…") for row in finding.rows]
        values = [float(row[percent]) for row in finding.rows]
        limit = finding.threshold
        colours = [COLOURS[limit.judge(value) if limit else Status.OK] for value in values]
        start = [0.0] * len(names)
        frame.bars(start, [100.0] * len(names), color=TEXT, alpha=0.1)
        frame.bars(start, values, color=colours, alpha=0.8)
        for place, value in enumerate(values):
            axes.text(value, place, f" {value:.0f} %", va="center", fontsize=8, color=TEXT)
        axes.set_xlim(0, 100)
        axes.set_xlabel("%")
        frame.names(names)
        mark_limits(frame, limit, 100)

    return _chart(title, finding, (by, percent), draw, rows=len(finding.rows))


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

    def draw(frame: Frame) -> None:
        axes = frame.axes
        moments = [datetime.fromisoformat(row["at"]) for row in finding.rows]
        values = [float(row[value]) for row in finding.rows]
        if len(moments) > 1:  # the last step, too, is as wide as the others
            moments.append(moments[-1] + (moments[-1] - moments[-2]))
            values.append(values[-1])
        axes.fill_between(moments, values, step="post", color=PALETTE[3], alpha=0.35)  # type: ignore[arg-type]
        axes.step(moments, values, where="post", color=PALETTE[3], lw=1)  # type: ignore[arg-type]
        axes.set_ylim(0, max([*values, 1]) * 1.35)
        axes.set_ylabel(finding.unit)
        _mark(frame, events.rows if events else [])
        date_ticks(axes)

    return _chart(finding.title, finding, ("at", value), draw)


def _mark(frame: Frame, events: Sequence[Row]) -> None:
    """Mark each event at its time; events of one kind have one colour."""
    kinds = dict.fromkeys(str(row["event"]) for row in events)
    for kind, colour in zip(kinds, itertools.cycle((PALETTE[0], *PALETTE[4:], *PALETTE[1:3]))):
        style: dict[str, Any] = {"color": colour, "lw": 1.4, "ls": (0, (4, 2))}
        for row in events:
            if row["event"] == kind:
                frame.axes.axvline(datetime.fromisoformat(row["at"]), **style)  # type: ignore[arg-type]
        frame.legend.append((kind, style))


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


def warm_up(count: int) -> None:
    """Import matplotlib, load its fonts, draw, and prepare the figures of `count` charts."""
    rows: list[Row] = [{"at": now().isoformat(), "percent": float(at)} for at in range(2)]
    limit = Threshold(metric="", label="", unit="%", warn=1, crit=2)
    finding = Finding(status=Status.OK, message="", threshold=limit, rows=rows)
    bars(finding, by="at", parts=["percent"])
    lines(finding, over="at")
    prepare(count)


def _chart(
    title: str,
    finding: Finding,
    columns: Sequence[str],
    draw: Callable[[Frame], None],
    rows: int | None = None,
) -> Chart:
    if not finding.rows:
        return Chart(title, "", f"No chart: {finding.message}")
    table: list[Row] = [{column: row.get(column) for column in columns} for row in finding.rows]
    text = rows_text(table)
    if finding.threshold and finding.threshold.limits:
        text += f"\nLimits: {limits_in_words(finding.threshold, finding.threshold.limits)}."
    return Chart(title, draw_svg(title, draw, rows), text)
