"""The lists of records: the newest, and those of each month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from opsnb.site.context import Page, Site
from opsnb.site.digests import digest
from opsnb.site.entries import Entry
from opsnb.site.layout import page

NEWEST = 200
"""How many records the first list shows; older ones are on a page for each month."""


def pages(site: Site) -> Iterator[Page]:
    """Yield the list of the newest records, and one of each month when there are more."""
    by_month = _months(site.entries)
    newest, broken = site.entries[:NEWEST], site.store.broken
    yield Page("records/index.html", partial(_listing, "Records", newest, by_month, broken))
    for month, entries in by_month.items():
        # A record changes only while it is open, and then its outcome does too.
        shown = digest(f"{entry.run_id} {entry.outcome} {entry.sentence}" for entry in entries)
        yield Page(
            f"records/{month}.html",
            partial(_listing, f"Records of {month}", entries, {}, {}),
            shown,
        )


def _months(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by month when there are more than one list should hold, else nothing."""
    if len(entries) <= NEWEST:
        return {}
    return {month: list(group) for month, group in groupby(entries, lambda entry: entry.month)}


def _listing(
    title: str,
    entries: Sequence[Entry],
    by_month: Mapping[str, list[Entry]],
    broken: Mapping[str, str],
) -> str:
    """Return a table of records, and the way to those of each month."""
    return page(
        "records",
        path="records/index.html",
        title=title,
        tab="Records",
        entries=entries,
        total=sum(map(len, by_month.values())),
        months=by_month,
        broken=broken,
    )
