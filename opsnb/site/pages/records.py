"""The lists of records: the newest, and those of each month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from opsnb.site.context import Page, Site
from opsnb.site.layout import page
from opsnb.site.runs import rows, runs
from opsnb.view import commands

PATH = "records/index.html"

NEWEST = 200
"""How many records the first list shows; older ones are on a page for each month."""
MOST = 1000
"""How many records a month shows."""
PART = 250
"""How many of them one page shows, in some 110 KB."""
_LATER = "~"  # sorts behind every run id


@dataclass(frozen=True)
class _Month:
    """The records of a month."""

    stamp: str
    """`202611`, as its run ids begin."""
    runs: int
    crit: int
    acted: int
    version: str

    @property
    def name(self) -> str:
        """`2026-11`."""
        return f"{self.stamp[:4]}-{self.stamp[4:]}"

    @property
    def parts(self) -> list[str]:
        """The files of its pages, the newest records first."""
        count = -(-min(self.runs, MOST) // PART)
        return [f"{self.name}.html", *(f"{self.name}-{n}.html" for n in range(2, count + 1))]

    @property
    def command(self) -> str:
        """The line that lists all of them."""
        first = date(int(self.stamp[:4]), int(self.stamp[4:]), 1)
        after = (first + timedelta(days=32)).replace(day=1)
        return commands.line("records", "list", "--since", f"{first}", "--until", f"{after}")


def pages(site: Site) -> Iterator[Page]:
    """Yield the list of the newest records, and one of each month when there are more."""
    months = [_Month(*row) for row in rows(site.store.index, "months")]
    yield Page(PATH, partial(_newest, site, months))
    if sum(month.runs for month in months) > NEWEST:
        for month in months:
            for part, name in enumerate(month.parts):
                html = partial(_of_month, site, month, part)
                yield Page(f"records/{name}", html, month.version)


def _newest(site: Site, months: Sequence[_Month]) -> str:
    asked = {"since": "", "until": _LATER, "most": NEWEST, "newest": True}
    found = runs(rows(site.store.index, "listed", **asked))
    total = sum(month.runs for month in months)
    return page(
        "records",
        path=PATH,
        title="Records",
        tab="Records",
        runs=found,
        total=total,
        months=months if total > len(found) else [],
        month=None,
        first=1,
        broken=site.broken,
    )


def _of_month(site: Site, month: _Month, part: int) -> str:
    asked = {"since": month.stamp, "until": f"{month.stamp}{_LATER}", "most": MOST, "newest": False}
    found = rows(site.store.index, "listed", **asked)
    return page(
        "records",
        path=f"records/{month.parts[part]}",
        title=f"Records of {month.name}",
        tab="Records",
        runs=runs(found[part * PART : (part + 1) * PART]),
        total=month.runs,
        months=[],
        month=month,
        first=part * PART + 1,
        most=MOST,
        broken={},
    )
