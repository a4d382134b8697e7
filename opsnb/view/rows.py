"""Rows at a terminal: a table if it fits, else one line per value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from opsnb.model import Row
from opsnb.view.tables import columns, heading, is_number, plain
from opsnb.view.terminal import one_line

_BETWEEN = 2  # columns
_MOST_ROWS = 10
_MOST_DOWNWARDS = 3
_LONG_WORD = 20  # longer ones, such as paths, may be broken


@dataclass(frozen=True)
class Rows:
    """The first of `rows`; a note says how many more of the `total` there are."""

    rows: Sequence[Row]
    total: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what rich prints, within the width of the terminal."""
        shown = self.rows[:_MOST_ROWS]
        names = columns(shown)
        cells = [[Text(heading(name)) for name in names]]
        # On one line, so that a line break from outside cannot forge one.
        cells += [[Text(one_line(plain(row.get(name)))) for name in names] for row in shown]
        if widths := _widths(console, cells, options.max_width):
            numbers = [all(is_number(row.get(name)) for row in shown) for name in names]
            yield _across(cells, widths, numbers)
        else:
            shown = shown[:_MOST_DOWNWARDS]
            yield _downwards(shown)
        if more := self.total - len(shown):
            yield Text(f"... and {more:,} more", "dim")


def _widths(console: Console, cells: Sequence[Sequence[Text]], room: int) -> list[int]:
    """Return the widths of columns that keep words whole; none if they do not fit."""
    measured = [
        [cell.__rich_measure__(console, console.options) for cell in line] for line in cells
    ]
    words = [max(cell.minimum for cell in column) for column in zip(*measured, strict=True)]
    least = [min(word, _LONG_WORD) for word in words]
    most = [max(cell.maximum for cell in column) for column in zip(*measured, strict=True)]
    spare = room - sum(least) - _BETWEEN * (len(least) - 1)
    if spare < 0:
        return []
    widths = list(least)
    # The columns that lack least come first, so that as few as possible are wrapped.
    for column in sorted(range(len(least)), key=lambda place: most[place] - least[place]):
        more = min(spare, most[column] - least[column])
        widths[column] += more
        spare -= more
    return widths


def _across(
    cells: Sequence[Sequence[Text]], widths: Sequence[int], numbers: Sequence[bool]
) -> Table:
    table = Table(box=None, padding=(0, _BETWEEN, 0, 0), pad_edge=False, header_style="dim")
    for name, width, right in zip(cells[0], widths, numbers, strict=True):
        table.add_column(name, width=width, justify="right" if right else "left", overflow="fold")
    for line in cells[1:]:
        table.add_row(*line)
    return table


def _downwards(rows: Sequence[Row]) -> Table:
    table = Table.grid(padding=(0, _BETWEEN))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            table.add_row()
        for column, value in row.items():
            table.add_row(heading(column), Text(plain(value)))
    return table
