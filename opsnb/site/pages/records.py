"""The lists of records: the newest, and those of each month.

Beside the pages of a month lies a script with all its records, which the filters load.
"""

from __future__ import annotations

import json
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
_NO_LIMIT = -1
_STAMP = "20261123T071500"
"""What a run id begins with, as long as that; a `Z` follows."""


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
    def title(self) -> str:
        """`November 2026`."""
        return f"{self._first:%B %Y}"

    @property
    def span(self) -> dict[str, str]:
        """Its run ids: from, and before which."""
        return {"since": self.stamp, "until": f"{self.stamp}{_LATER}"}

    @property
    def _first(self) -> date:
        return date(int(self.stamp[:4]), int(self.stamp[4:]), 1)

    @property
    def parts(self) -> list[str]:
        """The files of its pages, the newest records first."""
        count = -(-min(self.runs, MOST) // PART)
        return [f"{self.name}.html", *(f"{self.name}-{n}.html" for n in range(2, count + 1))]

    @property
    def command(self) -> str:
        """The line that lists all of them."""
        last = (self._first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        return commands.line("records", "list", "--since", f"{self._first}", "--until", f"{last}")


def pages(site: Site) -> Iterator[Page]:
    """Yield the list of the newest records, and one of each month when there are more."""
    months = [_Month(*row) for row in rows(site.store.index, "months")]
    yield Page(PATH, partial(_newest, site, months))
    if sum(month.runs for month in months) > NEWEST:
        for month in months:
            yield Page(f"records/{month.name}.js", partial(_script, site, month), month.version)
            for part, name in enumerate(month.parts):
                html = partial(_of_month, site, month, part)
                yield Page(f"records/{name}", html, month.version)


def _newest(site: Site, months: Sequence[_Month]) -> str:
    span = {"since": "", "until": _LATER}
    found = runs(rows(site.store.index, "listed", **span, most=NEWEST, newest=True))
    total = sum(month.runs for month in months)
    is_whole = total <= len(found)
    return page(
        "records",
        path=PATH,
        title="Records",
        tab="Records",
        runs=found,
        total=total,
        months=[] if is_whole else months,
        loadable=[month.name for month in months],
        values={} if is_whole else _values(site, span),
        month=None,
        first=1,
        broken=site.broken,
    )


def _of_month(site: Site, month: _Month, part: int) -> str:
    found = rows(site.store.index, "listed", **month.span, most=MOST, newest=False)
    return page(
        "records",
        path=f"records/{month.parts[part]}",
        title=f"Records of {month.title}",
        tab="Records",
        runs=runs(found[part * PART : (part + 1) * PART]),
        total=month.runs,
        months=[],
        month=month,
        first=part * PART + 1,
        most=MOST,
        loadable=[month.name],
        values=_values(site, month.span) if month.runs > PART else {},
        broken={},
    )


def _values(site: Site, span: dict[str, str]) -> dict[str, list[str]]:
    """Return what the runs of a span of run ids can be filtered by, and the values that occur."""
    (found,) = rows(site.store.index, "values", **span)
    return {name: json.loads(values) for name, values in dict(found).items()}


def _script(site: Site, month: _Month) -> str:
    """Return the runs of a month for the filters, the newest first; each text stands there once."""
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    found = []
    for run in runs(rows(site.store.index, "listed", **month.span, most=_NO_LIMIT, newest=True)):
        head, _, tail = run.run_id.rpartition("-")
        stamp, middle = head[len(month.stamp) : len(_STAMP)], head[len(_STAMP) + 1 :]
        named = (run.status, run.outcome, run.runbook, run.title, run.target, run.operator)
        numbers = [number(text) for text in (*named, run.sentence)]
        found.append([stamp, number(middle), tail, int(run.acted), *numbers])
    data = {"texts": list(texts), "runs": found}
    given = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return f'opsnbMonth("{month.name}",{given});\n'
