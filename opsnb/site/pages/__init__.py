"""The site's own pages, one module for each kind.

Each module has a function `pages`, which takes the `Site` and yields its `Page`s: a path, what
renders it, and a digest of what it shows. Add a new kind of page to `PAGES`, and to `TABS` in
`opsnb.site.layout` when the navigation leads to it.
"""

from __future__ import annotations

from opsnb.site.context import Pages
from opsnb.site.pages import (
    actions,
    alerts,
    contacts,
    feed,
    missing,
    records,
    runbooks,
    search,
    status,
    trends,
)

PAGES: tuple[Pages, ...] = (
    status.pages,
    runbooks.pages,
    alerts.pages,
    records.pages,
    trends.pages,
    actions.pages,
    contacts.pages,
    search.pages,
    feed.pages,
    missing.pages,
)
"""All kinds of pages, besides the page of each record and those of MkDocs."""
