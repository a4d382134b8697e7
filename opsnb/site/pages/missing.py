"""The page for addresses that the site does not have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from opsnb.site.context import Page, Site
from opsnb.site.layout import page

PATH = "404.html"


def pages(site: Site) -> Iterator[Page]:  # noqa: ARG001 - it is the same for every site
    """Yield the page for addresses that the site does not have."""
    yield Page(PATH, partial(page, "missing", path=PATH, title="Page not found"))
