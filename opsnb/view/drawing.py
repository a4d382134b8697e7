"""Drawing charts: matplotlib's style, the marks of limits, and SVG for a page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from opsnb.model import Status, Threshold
from opsnb.view.formats import number
from opsnb.view.styles import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT = "#010203"  # replaced by the page's text colour in the SVG
_NOTE_IN = 0.17  # inches that a note adds to the height
_WIDTH_IN, _HEIGHT_IN = 4.9, 2.3  # at 72 points to the inch this fits a phone without shrinking


def draw_svg(title: str, draw: Callable[[Axes], None], rows: int | None) -> str:
    """Return the SVG of `draw`, high enough for `rows`."""
    # Imported late: matplotlib takes longer to import than most runs take.
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    style: Any = _style(title)
    with rc_context(style):
        height = _HEIGHT_IN if rows is None else min(1.0 + 0.34 * rows, 8)
        figure = Figure(figsize=(_WIDTH_IN, height), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return _inline(written.getvalue(), title)


def _style(title: str) -> dict[str, Any]:
    return {
        "svg.fonttype": "none",
        # Ids inside the SVG differ between the charts of a page, and stay the same between runs.
        "svg.hashsalt": title,
        "font.family": "sans-serif",
        "font.size": 9,
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
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "legend.frameon": False,
        "legend.handlelength": 1.0,
        "legend.columnspacing": 1.0,
    }


def mark_limits(
    axes: Axes, threshold: Threshold | None, line: Callable[..., Any], shown_to: float
) -> None:
    """Mark the limits within the axis, and name those beyond it in a note."""
    if threshold is None:
        return
    _note(axes, _beyond(threshold, shown_to))
    for status, limit in threshold.limits.items():
        if limit <= shown_to:
            line(limit, color=COLOURS[status], lw=1.4, ls=(0, (4, 2)))
            is_vertical = line == axes.axvline
            axes.annotate(
                f"{status} {number(limit)}",
                (limit, 1) if is_vertical else (1, limit),
                xycoords=("data", "axes fraction") if is_vertical else ("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                # The labels of limits that stand close together would cover each other.
                ha="right" if status is Status.WARN or not is_vertical else "left",
                va="bottom",
                fontsize=7.5,
                color=COLOURS[status],
            )


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


def _note(axes: Axes, note: str) -> None:
    """Write `note` at the bottom, where it covers nothing."""
    figure = axes.get_figure(root=True)
    if note and figure:
        figure.set_figheight(figure.get_figheight() + _NOTE_IN)
        figure.supxlabel(note, x=0.99, ha="right", fontsize=7.5, alpha=0.8)


def date_ticks(axes: Axes) -> None:
    """Format the times on the axis."""
    # Imported late, as all of matplotlib.
    from matplotlib.dates import ConciseDateFormatter  # noqa: PLC0415

    locator = axes.xaxis.get_major_locator()
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _inline(svg: str, title: str) -> str:
    """Return matplotlib's file as an element of a page."""
    body = svg[svg.index("<svg") :].replace(TEXT, "currentColor")
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1system-ui, sans-serif", body)
    head, rest = body.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    width = _WIDTH_IN * 72
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{view_box[0] if view_box else ""} role="img" aria-label="{escape(title)}" '
        f'style="display:block;width:100%;max-width:{width:.0f}px;height:auto">{rest.strip()}'
    )
