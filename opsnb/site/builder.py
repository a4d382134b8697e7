"""Build the site: docs, runbooks and records as static pages that need no server.

The output is kept up to date in place. The pages of records are written before the lists that lead
to them, and pages that are no longer wanted are removed last, so a visitor never follows a link to
a page that is not there.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import typer

from opsnb import catalog
from opsnb.config.file import Config
from opsnb.errors import RunBroke
from opsnb.model import now
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from opsnb.site import record
from opsnb.site.context import Site
from opsnb.site.digests import code, contents, digest
from opsnb.site.docs import building as docs
from opsnb.site.output import File, forget, opened
from opsnb.site.pages import PAGES
from opsnb.site.search import building as search

Say = Callable[[str], None]

_ASSETS = Path(__file__).with_name("assets")


def build(config: Config, out: Path, say: Say, *, app: typer.Typer) -> Path:
    """Bring the site in the folder `out` up to date and return it; it need not exist yet.

    `app` is the command line, for its reference page. Raises RunBroke when the site cannot be
    built, UsageError when `out` contains something else, Locked when another build of it does not
    finish in time.
    """
    out = out.resolve()
    store = Store(config.store)
    reap(store)  # so that killed runs are shown too
    site = Site(config, catalog.runbooks(), store, app, now())
    try:
        try:
            _update(site, out, say)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # the manifest is damaged
            forget(out)
            _update(site, out, say)
    except (OSError, sqlite3.Error) as error:
        raise RunBroke(
            f"The site could not be built: {error}. Correct that and build it again."
        ) from error
    return out


def _update(site: Site, out: Path, say: Say) -> None:
    with opened(out, say) as output:
        output.update("assets", _assets())
        site.store.index.refresh(texts=True)  # once: all parts show the same records
        for sentence in site.store.index.broken().values():
            say(f"opsnb: {sentence}")
        output.update("records", record.pages(site))
        docs.update(site, output, say)
        output.update("pages", _pages(site))
        search.update(site, output)
        output.sweep()


def _assets() -> Iterator[File]:
    for path in sorted(_ASSETS.iterdir()):
        small = _SMALLER.get(path.suffix, _unchanged)
        made_from = digest([code("site/builder.py"), *contents(path)])
        yield File(f"assets/{path.name}", made_from, partial(_small, path, small))


def _small(path: Path, small: Callable[[str], str]) -> bytes:
    return small(path.read_text(encoding="utf-8")).encode()


def _unchanged(text: str) -> str:
    return text


def _small_style(css: str) -> str:
    """Return a style sheet without comments and indents."""
    return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL))


def _small_script(script: str) -> str:
    """Return a script without indents: no text in it goes over several lines."""
    return re.sub(r"^\s+", "", script, flags=re.MULTILINE)


_SMALLER = {".css": _small_style, ".js": _small_script}


def _pages(site: Site) -> Iterator[File]:
    """Yield the site's own pages; what renders one is part of what it is made from."""
    for pages in PAGES:
        for page in pages(site):
            if page.made_from:
                made_from, html = digest([code("site", "view"), page.made_from]), page.html
            else:
                text = page.html()
                made_from, html = digest([text]), partial(str, text)
            yield File(page.path, made_from, partial(_encoded, html))


def _encoded(html: Callable[[], str]) -> bytes:
    return html().encode("utf-8", "replace")
