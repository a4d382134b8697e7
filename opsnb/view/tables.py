"""Rows as a table: in HTML, and as aligned plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsnb.model import Row, Status
from opsnb.view.formats import number
from opsnb.view.html import render
from opsnb.view.styles import COLOURS

MOST_ROWS = 20


def rows_html(rows: Sequence[Row]) -> str:
    """Return `rows` as an HTML table that scrolls inside itself; only the first `MOST_ROWS`."""
    return render("rows", **table(rows))


def table(rows: Sequence[Row], total: int | None = None) -> dict[str, Any]:
    """Return what draws `rows` as a table: `headings`, `cells`, and how many `more` there are.

    `total` is the number of rows, where these are only the first.
    """
    names = columns(rows)
    return {
        "headings": [heading(name) for name in names],
        "cells": [[_cell(row.get(name)) for name in names] for row in rows[:MOST_ROWS]],
        "more": max(0, (len(rows) if total is None else total) - MOST_ROWS),
    }


def rows_text(rows: Sequence[Row]) -> str:
    """Return `rows` as aligned plain text; only the first `MOST_ROWS`."""
    names = columns(rows)
    cells = [[plain(row.get(name)) for name in names] for row in rows[:MOST_ROWS]]
    lines = [[heading(name) for name in names], *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    text = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return text + (f"\n... and {_more(rows)} more" if _more(rows) else "")


def columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns of `rows`, in the order in which they appear."""
    return list(dict.fromkeys(column for row in rows for column in row))


def heading(column: str) -> str:
    """Return the heading of a column."""
    return column.replace("_", " ")


def is_number(value: Any) -> bool:
    """Whether `value` is a number, which is aligned to the right."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(value: Any) -> str:
    """Return a value in words and numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if is_number(value) else str(value)


def _cell(value: Any) -> dict[str, Any]:
    colour = COLOURS[value] if isinstance(value, Status) else ""
    status = value.value if colour else ""
    return {"text": plain(value), "colour": colour, "status": status, "right": is_number(value)}


def _more(rows: Sequence[Row]) -> int:
    return max(0, len(rows) - MOST_ROWS)
