"""The page for addresses that the site does not have."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from opsnb.site.context import Page, Site
from opsnb.site.layout import page

PATH = "404.html"
_SCRIPT = Path(__file__).parents[1] / "templates" / "missing.js.j2"


def pages(site: Site) -> Iterator[Page]:
    """Yield the page for addresses that the site does not have.

    A web server shows it at any address. So its links begin with the path at which the site is
    published, as `records.site` says, by default `/`. If the site is elsewhere, a script in the
    page finds it.
    """
    root = f"{urlsplit(site.config.records.site).path.rstrip('/')}/"
    script = _SCRIPT.read_text(encoding="utf-8")
    allowed = f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    given = {"root": root, "script": script, "allowed_script": allowed}
    yield Page(PATH, partial(page, "missing", path=PATH, title="Page not found", **given))
