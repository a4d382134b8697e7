"""The page for addresses that the site does not have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from opsnb.site.context import Page, Site
from opsnb.site.layout import page

PATH = "404.html"


def pages(site: Site) -> Iterator[Page]:
    """Yield the page for addresses that the site does not have.

    A web server shows it at any address. So its links begin with the path at which the site is
    published, as `records.site` says; without one they are relative, and `opsnb site serve` adapts
    them.
    """
    published = site.config.records.site.rstrip("/")
    root = f"{urlsplit(published).path}/" if published else ""
    yield Page(PATH, partial(page, "missing", path=PATH, title="Page not found", root=root))
