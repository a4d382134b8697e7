"""The frame of the site's own pages: top navigation, landmarks, styles, colours of the system.

Every address in a page is relative, so the site works under any path and from a folder. Pages of
MkDocs have the same navigation in Material's own header.
"""

from __future__ import annotations

from typing import Any

from opsnb.site.templates import render

TABS = (
    ("Status", "index.html"),
    ("Runbooks", "runbooks/index.html"),
    ("Records", "records/index.html"),
    ("Trends", "trends/index.html"),
    ("Actions", "actions.html"),
    ("Contacts", "contacts.html"),
    ("Docs", "guide/getting-started.html"),
)
"""The top navigation: the words, and the page."""


def page(
    template: str, *, path: str, title: str, tab: str = "", root: str = "", **values: Any
) -> str:
    """Return the page at `path`, rendered from a template that extends `layout.html.j2`.

    `tab` is the words of the tab that it belongs to. In the template, `root` leads to the site's
    root: `{{ root }}records/index.html`. `values` are escaped.
    A page that is shown at other addresses than `path` is given its `root`.
    """
    return render(
        template,
        root=root or "../" * path.count("/"),
        title=title,
        tab=tab,
        tabs=TABS,
        path=path,
        **values,
    )
