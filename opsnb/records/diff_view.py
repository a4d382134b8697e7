"""The difference of two runs on a terminal, within 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from opsnb.model import Row, RunResult
from opsnb.records.diff import Changed, Diff
from opsnb.records.ending import word
from opsnb.view.findings import named
from opsnb.view.formats import number, utc
from opsnb.view.lines import Labelled, place
from opsnb.view.rows import Rows
from opsnb.view.styles import TERMINAL_STYLES
from opsnb.view.tables import plain
from opsnb.view.terminal import one_line

_LABEL = 10
_MOST_LINES = 40  # of source
_TIMES = 3  # from here on, a factor says more than percent
_HEADINGS = {"changed": "Changed", "appeared": "New", "went": "Gone"}
_STYLES = {"+": "green", "-": "red", "@": "dim"}


def difference(diff: Diff) -> RenderableType:
    """Return what differs between two runs. Print it without cropping."""
    return Group(*_lines(diff))


def _lines(diff: Diff) -> Iterator[RenderableType]:
    yield from (_run("before", diff.before), _run("after", diff.after))
    for side, run in (("before", diff.before), ("after", diff.after)):
        if run.error:
            yield Labelled(Text(side, "dim"), run.error, _LABEL)
    if diff.is_empty:
        yield Text("\nNo difference in status, findings, numbers, parameters and source.")
    for kind, heading in _HEADINGS.items():
        if found := diff.of(kind):
            yield Text(f"\n{heading}", style="bold")
            for pair in found:
                yield from _finding(pair)
    if numbers := [row for pair in diff.findings if (row := _number(pair))]:
        yield Text("\nNumbers", style="bold")
        yield Rows(numbers, len(numbers))
    if diff.parameters:
        yield Text("\nParameters", style="bold")
        rows = [
            {"name": name, "before": _value(before), "after": _value(after)}
            for name, (before, after) in diff.parameters.items()
        ]
        yield Rows(rows, len(rows))
    yield from _source(diff.source)


def _run(side: str, run: RunResult) -> Text:
    ended = Text.assemble((word(run), TERMINAL_STYLES[run.status]), f" {utc(run.started)}")
    return Text.assemble(
        place(f"{side:<{_LABEL}}", run.run_id), f"\n{' ' * _LABEL}", ended, no_wrap=True
    )


def _finding(pair: Changed) -> Iterator[RenderableType]:
    before, after = pair.before, pair.after
    words = [each.status.upper() for each in (before, after) if each]
    style = TERMINAL_STYLES[pair.either.status]
    label = Text.assemble("  ", (" -> ".join(words), style), f"  {pair.either.name}")
    yield label
    yield Labelled(Text(""), named(pair.either), _LABEL)
    if before and after:
        yield Labelled(Text("    was", "dim"), named(before), _LABEL, "dim")


def _number(pair: Changed) -> Row | None:
    """Return the row of a number that changed, as people read it."""
    if not pair.change or pair.before is None or pair.after is None:
        return None
    before, after = pair.before.value, pair.after.value
    if before is None or after is None:
        return None
    sign = "+" if pair.change > 0 else "-"
    unit = pair.after.unit
    return {
        "finding": pair.either.name,
        "before": number(before, unit),
        "after": number(after, unit),
        "change": f"{sign}{number(abs(pair.change), unit)}{_share(before, after, unit)}",
    }


def _share(before: float, after: float, unit: str) -> str:
    """Return the change as a part of what was before, where that says more than the number."""
    if unit == "%" or not before or before * after < 0:
        return ""
    ratio = after / before
    return f" ({ratio:,.0f} times)" if ratio >= _TIMES else f" ({100 * (ratio - 1):+.0f} %)"


def _value(value: Any) -> str:
    return "not set" if value is None else plain(value)


def _source(lines: list[str]) -> Iterator[RenderableType]:
    if not lines:
        return
    yield Text("\nSource of the runbook", style="bold")
    for line in lines[2:_MOST_LINES]:  # the first two name the files
        text = Text(one_line(line), _STYLES.get(line[:1], ""), no_wrap=True)
        text.truncate(78, overflow="ellipsis")
        yield text
    if (more := len(lines) - _MOST_LINES) > 0:
        yield Text(f"... and {more:,} more lines: --json shows them", "dim")
