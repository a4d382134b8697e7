"""Rows at a terminal: a table where it fits, else one line for each value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from opsnb.model import Row
from opsnb.view import columns, heading, is_number, plain

_ENDLESS = 10_000  # no terminal is as wide
_MOST_DOWNWARDS = 3


@dataclass(frozen=True)
class Rows:
    """The first `most` of `rows`; how many more of the `total` there are is told."""

    rows: Sequence[Row]
    total: int
    most: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what rich prints, as wide as there is room."""
        shown = self.rows[: self.most]
        across = _across(shown)
        # Words that are broken in the middle cannot be read, nor searched for.
        needed = Measurement.get(console, options.update(max_width=_ENDLESS), across).minimum
        if needed <= options.max_width:
            yield across
        else:
            shown = shown[:_MOST_DOWNWARDS]
            yield _downwards(shown)
        if more := self.total - len(shown):
            yield Text(f"... and {more:,} more", "dim")


def _across(rows: Sequence[Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in columns(rows):
        numbers = all(is_number(row.get(column)) for row in rows)
        table.add_column(Text(heading(column)), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(plain(row.get(column))) for column in columns(rows)))
    return table


def _downwards(rows: Sequence[Row]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            table.add_row()
        for column, value in row.items():
            table.add_row(heading(column), Text(plain(value)))
    return table
