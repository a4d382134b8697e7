"""The lists of records, newest first, and what the search knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from opsnb.site.entries import Entry
from opsnb.site.templates import render

NEWEST = 200
"""How many records the first list shows; older ones are on a page for each month."""
SEARCHABLE = 500
"""How many of the newest records the search knows; its index is loaded as a whole."""


def months(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by month when there are more than one list should hold, else nothing."""
    if len(entries) <= NEWEST:
        return {}
    return {month: list(group) for month, group in groupby(entries, lambda entry: entry.month)}


def overview(entries: Sequence[Entry]) -> str:
    """Return the body of the first list: the newest records, and the way to older ones."""
    by_month = months(entries)
    return render("records", entries=entries[:NEWEST], total=len(entries), months=by_month)


def listing(entries: Sequence[Entry]) -> str:
    """Return a table of records."""
    return render("records", entries=entries, total=len(entries), months={})


def search_documents(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return the entries of the newest records for the index of the site's search."""
    return [
        {
            "location": f"records/{entry.page}",
            "title": escape(f"{entry.title} on {entry.target}, {entry.started:%Y-%m-%d %H:%M}"),
            "text": escape(f"{entry.outcome}. {entry.details or entry.sentence}"[:400]),
        }
        for entry in entries[:SEARCHABLE]
    ]
