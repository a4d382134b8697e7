"""Drawing charts: matplotlib's style, the marks of limits, and SVG for a page."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from opsnb.model import Status, Threshold
from opsnb.view import compact_svg
from opsnb.view.formats import number
from opsnb.view.styles import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font
    from matplotlib.text import Text

TEXT = "#010203"  # replaced by the page's text colour in the SVG
WIDTH = 353
"""Points of a chart's width, with which it fits a phone without shrinking."""
_HEIGHT = 166.0  # points
_ROW, _AROUND_ROWS, _MOST = 24.5, 72.0, 576.0  # points of the height of a chart with rows
_SIZE, _SMALL = 9.0, 7.5  # points of text
_LINE = 1.35  # of a text's size
_EDGE = 4.0  # points around everything
_EM = 100.0  # points at which letters are measured
_TICK = 6.0  # points from the axis to the labels of its ticks
_MARK = 9.0  # points of the line before a word of the legend
_ROUND = (-0.25, -0.25, 0.25, 0.25)  # the corners of a bar, in heights of a row
_STEPS = 5  # between the numbers on an axis, at most: each takes as long to draw as a bar
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": _SIZE,
    "text.color": TEXT,
    # A name with dollar signs is a name, not a formula.
    "text.parse_math": False,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": TEXT,
    "grid.alpha": 0.12,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    # The grid shows the places of ticks.
    "xtick.bottom": False,
    "ytick.left": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
}


@dataclass
class Frame:
    """The axes of a chart, and what stands around them."""

    axes: Axes
    legend: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Words, each with the style of the line before it; below the axes if rows are named."""
    is_named: bool = False
    room: float = 0.0
    """Points that the names of rows need."""
    note: str = ""
    """Stands at the bottom, where it covers nothing."""
    limits: list[Text] = field(default_factory=list)
    """Labels of limits: of upright lines above the axes, of others at the lines' right ends."""

    def bars(self, starts: Sequence[float], ends: Sequence[float], **style: Any) -> None:
        """Draw a bar in each row; all of them as one shape, which takes a third of the time."""
        from matplotlib.collections import PolyCollection  # noqa: PLC0415

        corners = [
            [(x, place + y) for x, y in zip((start, end, end, start), _ROUND, strict=True)]
            for place, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]
        self.axes.add_collection(PolyCollection(corners, lw=0, **style), autolim=False)

    def names(self, names: Sequence[str]) -> None:
        """Name the rows, the first at the top."""
        self.is_named = True
        self.axes.set_yticks([])
        self.room = _EDGE + _TICK + max(_width(name, _SIZE) for name in names)
        across = self.axes.get_yaxis_transform()
        for place, name in enumerate(names):
            self.axes.text(-0.015, place, name, ha="right", va="center_baseline", transform=across)
        self.axes.set_ylim(len(names) - 0.5, -0.5)


def draw_svg(title: str, draw: Callable[[Frame], None], rows: int | None) -> str:
    """Return the SVG of `draw`, high enough for `rows`."""
    # Imported late: matplotlib takes longer to import than most runs take.
    from matplotlib import rc_context  # noqa: PLC0415

    style: Any = {**_STYLE, "svg.hashsalt": title}  # ids stay the same between runs
    with rc_context(style):
        figure = _prepared.pop() if _prepared else _blank()
        if rows is not None:
            figure.set_figheight(min(_AROUND_ROWS + _ROW * rows, _MOST) / 72)
        frame = Frame(figure.axes[0])
        draw(frame)
        _fit(figure, frame)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    return _inline(written.getvalue(), title)


_prepared: list[Figure] = []


def prepare(charts: int) -> None:
    """Make the figures and ticks of so many charts now, which takes as long as drawing on them."""
    from matplotlib import rc_context  # noqa: PLC0415

    style: Any = _STYLE
    with rc_context(style):
        _prepared.extend(_blank() for _ in range(charts))


def _blank() -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDTH / 72, _HEIGHT / 72), dpi=72)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(nbins=_STEPS)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_ticks(_STEPS + 1)
    return figure


def _fit(figure: Figure, frame: Frame) -> None:
    """Give the axes what the texts around them leave of the figure.

    Here the letters' widths are added up; matplotlib's own layouts draw the figure twice.
    """
    # The names of rows are known; how many other ticks there are depends on the height.
    if frame.is_named:
        left, width = _fit_width(figure, frame)
        is_raised = _part_upright(frame, left, width)
        height = _fit_height(figure, frame, is_raised=is_raised)
    else:
        height = _fit_height(figure, frame)
        left, width = _fit_width(figure, frame)
        _part_level(frame, width, height)
    # Otherwise matplotlib lays out the ticks' labels once more to find these places.
    frame.axes.xaxis.set_label_coords(0.5, -(_TICK + _SIZE * _LINE) / height)
    frame.axes.yaxis.set_label_coords((_EDGE + _SIZE * _LINE - left) / width, 0.5)


def _fit_width(figure: Figure, frame: Frame) -> tuple[float, float]:
    """Set where the axes begin and end across; return the first and their width, in points."""
    axes = frame.axes
    widths = (width for _, width in _ticks(axes.yaxis))
    left = frame.room or _EDGE + _TICK + max(widths, default=0.0)
    left += (_SIZE * _LINE + _EDGE) * bool(axes.get_ylabel())
    right = _right(axes, left)
    figure.subplots_adjust(left=left / WIDTH, right=1 - right / WIDTH)
    return left, WIDTH - left - right


def _fit_height(figure: Figure, frame: Frame, *, is_raised: bool = False) -> float:
    """Set where the axes begin and end upwards, and write what stands above and below them.

    Returns their height in points.
    """
    axes, legend = frame.axes, _flowed(frame.legend)
    # Below the ticks stand a label, or what dates or large numbers have in common.
    has_footing = (
        not frame.is_named or axes.get_xlabel() or axes.xaxis.get_major_formatter().get_offset()
    )
    note = _SMALL * _LINE * bool(frame.note)
    words = _SIZE * _LINE * len(legend)
    above = _EDGE + _SMALL * _LINE * (1 + is_raised) + words * (not frame.is_named)
    below = _EDGE + _TICK + _SIZE * _LINE * (1 + bool(has_footing)) + note + words * frame.is_named
    height = figure.get_figheight() * 72 + note + _SIZE * _LINE * max(len(legend) - 1, is_raised)
    figure.set_figheight(height / 72)
    figure.subplots_adjust(top=1 - above / height, bottom=below / height)
    _write_legend(figure, legend, note + words if frame.is_named else height - _EDGE / 2)
    if frame.note:
        figure.text(1 - 1 / WIDTH, 2 / height, frame.note, ha="right", fontsize=_SMALL, alpha=0.8)
    return height - above - below


def _ticks(axis: Axis) -> list[tuple[float, float]]:
    """Return for each tick its place, from 0 to 1 on the axis, and its label's width in points."""
    low, high = axis.get_view_interval()
    places = axis.get_majorticklocs().tolist()
    labels = axis.get_major_formatter().format_ticks(places)
    shares = [(place - low) / (high - low) for place in places]
    return [
        (share, _width(label, _SIZE))
        for share, label in zip(shares, labels, strict=True)
        if -0.01 <= share <= 1.01
    ]


def _right(axes: Axes, left: float) -> float:
    """Return the points on the right of the axes that labels of ticks and of bars need."""
    low, high = axes.get_xlim()
    ends = [(place, width / 2) for place, width in _ticks(axes.xaxis)]
    ends += [
        (
            (text.get_position()[0] - low) / (high - low),
            _width(text.get_text(), _SIZE),
        )
        for text in axes.texts
        if text.get_transform() is axes.transData
    ]
    room = WIDTH - 1 - left
    return max([_EDGE, *(1 + room - (room - width) / share for share, width in ends if share > 0)])


def _part_upright(frame: Frame, left: float, width: float) -> bool:
    """Keep the labels of upright limits within the chart; true where one stands above another."""
    low, high = frame.axes.get_xlim()
    end = 0.0
    for label in sorted(frame.limits, key=lambda text: text.get_position()[0]):
        at = left + (label.get_position()[0] - low) / (high - low) * width
        length = _width(label.get_text(), _SMALL)
        if label.get_horizontalalignment() == "right" and at < length:
            label.set_horizontalalignment("left")
        if label.get_horizontalalignment() == "left" and at + length > WIDTH:
            label.set_horizontalalignment("right")
        start = at if label.get_horizontalalignment() == "left" else at - length
        if start < end:
            label.set_text(label.get_text() + "\n")
            return True
        end = start + length
    return False


def _part_level(frame: Frame, width: float, height: float) -> None:
    """Put the labels of level limits beside each other where they would cover each other."""
    low, high = frame.axes.get_ylim()
    at, shift = float("-inf"), 0.0
    for label in sorted(frame.limits, key=lambda text: text.get_position()[1]):
        place = (label.get_position()[1] - low) / (high - low) * height
        shift = shift if place - at < _SMALL * _LINE else 0.0
        label.set_position((1 - shift / width, label.get_position()[1] + 2 / height * (high - low)))
        at, shift = place, shift + _width(label.get_text(), _SMALL) + _EDGE


def _flowed(
    legend: Sequence[tuple[str, dict[str, Any]]],
) -> list[list[tuple[float, str, dict[str, Any]]]]:
    """Return the lines of a legend: in each the entries, with the points where they begin."""
    lines: list[list[tuple[float, str, dict[str, Any]]]] = []
    at = float(WIDTH)
    for words, style in legend:
        length = _MARK + _EDGE + _width(words, _SMALL)
        if at + length > WIDTH - _EDGE:
            lines.append([])
            at = _EDGE
        lines[-1].append((at, words, style))
        at += length + 2 * _EDGE
    return lines


def _write_legend(
    figure: Figure, lines: Sequence[Sequence[tuple[float, str, dict[str, Any]]]], top: float
) -> None:
    """Write the lines of a legend below `top`, in points from the bottom."""
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.transforms import IdentityTransform  # noqa: PLC0415

    points = IdentityTransform()
    for row, line in enumerate(lines):
        middle = top - (row + 0.5) * _SIZE * _LINE
        for at, words, style in line:
            mark = Line2D(
                [at, at + _MARK], [middle, middle], transform=points, solid_capstyle="butt", **style
            )
            figure.add_artist(mark)
            figure.text(
                at + _MARK + _EDGE,
                middle - 0.36 * _SMALL,
                words,
                fontsize=_SMALL,
                transform=points,
            )


def _width(text: str, size: float) -> float:
    """Return the width of `text` in points, in a font that is wider than most."""
    return size * max((sum(map(_advance, line)) for line in text.splitlines()), default=0.0)


@cache
def _advance(letter: str) -> float:
    """Return a letter's width in ems."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    return _font().load_char(ord(letter)).linearHoriAdvance / 2**16 / _EM


@cache
def _font() -> FT2Font:
    from matplotlib.font_manager import FontProperties, findfont, get_font  # noqa: PLC0415

    font = get_font(findfont(FontProperties(family=["sans-serif"])))
    font.set_size(_EM, 72)
    return font


def mark_limits(frame: Frame, threshold: Threshold | None, shown_to: float) -> None:
    """Mark the limits within the axis, and name those beyond it in a note."""
    if threshold is None:
        return
    axes = frame.axes
    frame.note = _beyond(threshold, shown_to)
    line = axes.axvline if frame.is_named else axes.axhline
    transform = axes.get_xaxis_transform() if frame.is_named else axes.get_yaxis_transform()
    for status, limit in threshold.limits.items():
        if limit <= shown_to:
            line(limit, color=COLOURS[status], lw=1.4, ls=(0, (4, 2)))
            at = (limit, 1.01) if frame.is_named else (1, limit)
            label = axes.text(
                at[0],
                at[1],
                f"{status} {number(limit)}",
                transform=transform,
                # The labels of limits that stand close together would cover each other.
                ha="right" if status is Status.WARN or not frame.is_named else "left",
                va="bottom",
                fontsize=_SMALL,
                color=COLOURS[status],
            )
            frame.limits.append(label)


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


def date_ticks(axes: Axes) -> None:
    """Format the times on the axis."""
    # Imported late, as all of matplotlib.
    from matplotlib.dates import ConciseDateFormatter  # noqa: PLC0415

    locator = axes.xaxis.get_major_locator()
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _inline(svg: str, title: str) -> str:
    """Return matplotlib's file as an element of a page."""
    body = compact_svg.compacted(svg[svg.index("<svg") :]).replace(TEXT, "currentColor")
    head, rest = body.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{view_box[0] if view_box else ""} role="img" aria-label="{escape(title)}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto">{rest.strip()}'
    )
