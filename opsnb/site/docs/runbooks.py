"""The runbooks' pages: made by mkdocs-jupyter, then cleaned up."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import get_toc

from opsnb.catalog import RunbookInfo, by_section
from opsnb.errors import ConfigError
from opsnb.site.pages.runbooks import risk
from opsnb.site.templates import notice, render

# mkdocs-jupyter adds JupyterLab's styles, scripts, links to a CDN and cell decorations to every
# page.
_CLUTTER = (
    "style, script, link, .zeroclipboard-container, .clipboard-copy-txt, .celltoolbar,"
    ".jp-Collapser, .jp-InputPrompt, .jp-OutputPrompt"
)
_WHEN_TO_USE = re.compile(r"<h2[^>]*id=\"when-to-use\"")
_NOTEBOOK_LINK = re.compile(r"(?P<path>[^:?#]+)\.ipynb(?P<rest>[?#].*)?")


def navigation(infos: Iterable[RunbookInfo]) -> list[dict[str, list[dict[str, str]]]]:
    """Return the runbooks for mkdocs' navigation."""
    return [
        {section: [{info.name: f"runbooks/{info.id}.ipynb"} for info in group]}
        for section, group in by_section(infos)
    ]


class RunbookPages:
    """Handles mkdocs' events and cleans up the pages of mkdocs-jupyter."""

    def __init__(self, infos: Iterable[RunbookInfo]) -> None:
        self._infos = {f"runbooks/{info.id}.ipynb": info for info in infos}

    def on_pre_page(self, page: Page, /, **_: Any) -> Page:
        """Catch errors of a notebook that cannot be converted, so that only its page is lost."""
        info = self._infos.get(page.file.src_uri)
        if info is not None:
            page.meta["title"] = info.name
            render = page.render

            def guarded(config: MkDocsConfig, files: Files) -> None:
                try:
                    render(config, files)
                except Exception as error:  # noqa: BLE001 - one notebook must not stop the build
                    page.content = _broken(info, error)
                    page.toc = get_toc([])

            page.render = guarded  # type: ignore[method-assign]
        return page

    def on_page_content(self, html: str, /, *, page: Page, **_: Any) -> str:
        """Return the page in the theme's own style, with its parameters after *When to use*."""
        info = self._infos.get(page.file.src_uri)
        if info is None:
            return html
        html = _tidied(html, page.file.src_uri, self._infos)
        return _opened(html, self._opening(info))

    def _opening(self, info: RunbookInfo) -> str:
        """Return the parameters as a table, the line that runs the runbook, and a region."""
        parameters, failure = [], ""
        try:
            parameters = info.parameters
        except ConfigError as error:
            failure = str(error)
        return render(
            "runbook",
            id=info.id,
            parameters=parameters,
            failure=failure,
            risk=risk(info),
        )


def _tidied(html: str, source: str, pages: Mapping[str, Any]) -> str:
    soup = BeautifulSoup(html, "html.parser")
    for clutter in soup.select(_CLUTTER):
        clutter.decompose()
    for anchor in soup.select("a.anchor-link"):
        anchor["class"] = "headerlink"
    for block in soup.select(".highlight-ipynb"):
        block["class"] = "highlight"
        for pre in block.find_all("pre"):  # so that the theme adds a button to copy the code
            inner = soup.new_tag("code")
            inner.extend(list(pre.children))
            pre.append(inner)
    for reference in soup.select("a[href]"):
        if page := _page_of(str(reference["href"]), source, pages):
            reference["href"] = page
        else:
            reference.unwrap()
    return str(soup)


def _page_of(href: str, source: str, pages: Mapping[str, Any]) -> str:
    """Return the page that `source` links to by `href`; empty for a runbook that there is not.

    Its section may be switched off, and another runbook still names it.
    """
    match = _NOTEBOOK_LINK.fullmatch(href)
    if match is None:
        return href
    folder = posixpath.dirname(source)
    wanted = posixpath.normpath(posixpath.join(folder, f"{match['path']}.ipynb"))
    return f"{match['path']}.html{match['rest'] or ''}" if wanted in pages else ""


def _opened(html: str, opening: str) -> str:
    """Return the page with `opening` below *When to use*, or below the heading without that."""
    use = _WHEN_TO_USE.search(html)
    after = html.find("<h2", use.end()) if use else -1
    if after < 0:
        after = html.find("</h1>") + len("</h1>") if "</h1>" in html else 0
    return html[:after] + opening + html[after:]


def _broken(info: RunbookInfo, error: Exception) -> str:
    return f"<h1>{escape(info.name)}</h1>" + notice(
        "This runbook cannot be shown", f"{Path(info.path).name}: {type(error).__name__}: {error}"
    )
