"""The page of the search; the browser fills it in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from opsnb.model import Status
from opsnb.records.search import COMMON
from opsnb.site.context import Page, Site
from opsnb.site.layout import page

PATH = "search.html"


def pages(site: Site) -> Iterator[Page]:  # noqa: ARG001 - it is the same for every site
    """Yield the page of the search."""
    html = partial(
        page, "search", path=PATH, title="Search", common=COMMON, statuses=[*map(str, Status)]
    )
    yield Page(PATH, html)
