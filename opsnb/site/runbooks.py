"""The runbooks' pages: made by mkdocs-jupyter, then freed of what it carries along."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
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
from opsnb.params.cell import Parameter
from opsnb.site.entries import Entry, latest
from opsnb.site.html import code, link, moment, notice, table

_SHOWN = 5
# mkdocs-jupyter puts JupyterLab's styles, its scripts and links to a CDN into every page, and what
# JupyterLab shows around a cell.
_CLUTTER = (
    "style, script, link, .zeroclipboard-container, .clipboard-copy-txt, .celltoolbar,"
    ".jp-Collapser, .jp-InputPrompt, .jp-OutputPrompt"
)
_NOTEBOOK_LINK = re.compile(r"(?P<path>[^:?#]+)\.ipynb(?P<rest>[?#].*)?")


def navigation(infos: Iterable[RunbookInfo]) -> list[dict[str, list[dict[str, str]]]]:
    """Return the runbooks as mkdocs' navigation takes them."""
    return [
        {section: [{info.name: f"runbooks/{info.id}.ipynb"} for info in group]}
        for section, group in by_section(infos)
    ]


def overview(infos: Sequence[RunbookInfo], entries: Sequence[Entry]) -> str:
    """Return, in Markdown, the runbooks by section with their newest records."""
    newest: dict[str, list[Entry]] = {}
    for entry in latest(entries):
        newest.setdefault(entry.runbook, []).append(entry)
    return "\n\n".join(
        f"## {section}\n\n"
        + table(
            ["Runbook", "Does", "Newest records"],
            ([_name(info), _does(info), _newest(newest.get(info.id, []))] for info in group),
        )
        for section, group in by_section(infos)
    )


def _name(info: RunbookInfo) -> str:
    return f"{link(f'{info.id}.html', info.name)}<br>{code(info.id)}"


def _does(info: RunbookInfo) -> str:
    try:
        return "checks, and acts when told to" if info.acts else "checks"
    except ConfigError:
        return "cannot be read"


def _newest(entries: Iterable[Entry]) -> str:
    return "<br>".join(
        f'{entry.pill} <a href="../records/{escape(entry.page)}">{escape(entry.target)}</a>'
        for entry in sorted(entries, key=lambda entry: entry.target)
    )


class RunbookPages:
    """Follows mkdocs-jupyter through mkdocs' events and mends the pages that it makes."""

    def __init__(self, infos: Iterable[RunbookInfo], entries: Iterable[Entry]) -> None:
        self._infos = {f"runbooks/{info.id}.ipynb": info for info in infos}
        self._records: dict[str, list[Entry]] = {}
        for entry in entries:
            self._records.setdefault(entry.runbook, []).append(entry)

    def on_pre_page(self, page: Page, /, **_: Any) -> Page:
        """See to it that a notebook that cannot be converted costs its own page only."""
        info = self._infos.get(page.file.src_uri)
        if info is not None:
            page.meta["title"] = info.name
            render = page.render

            def guarded(config: MkDocsConfig, files: Files) -> None:
                try:
                    render(config, files)
                except Exception as error:  # noqa: BLE001 - whatever is wrong with one notebook
                    page.content = _broken(info, error)
                    page.toc = get_toc([])

            page.render = guarded  # type: ignore[method-assign]
        return page

    def on_page_content(self, html: str, /, *, page: Page, **_: Any) -> str:
        """Return the page light, in the theme's own colours, and with its parameters on top."""
        info = self._infos.get(page.file.src_uri)
        if info is None:
            return html
        html = _tidied(html, page.file.src_uri, self._infos)
        head, heading, rest = html.partition("</h1>")
        if not heading:
            head, rest = "", html
        return head + heading + _opening(info) + self._latest(info) + rest

    def _latest(self, info: RunbookInfo) -> str:
        # A summary stands for its members, which would fill the list.
        entries = [
            entry
            for entry in self._records.get(info.id, [])
            if entry.fleet is None or entry.is_summary
        ]
        up = "../" * (info.id.count("/") + 1)
        rows = "".join(
            f"<li>{entry.pill} {link(f'{up}records/{entry.page}', entry.target)} "
            f'<span class="aside">{moment(entry.started)}</span></li>'
            for entry in entries[:_SHOWN]
        )
        return (
            f'<details class="quiet"><summary>Latest records</summary><ul>{rows}</ul></details>'
            if rows
            else ""
        )


def _opening(info: RunbookInfo) -> str:
    """Return the parameters as a table, and the line that runs the runbook."""
    try:
        parameters = info.parameters
    except ConfigError as error:
        return notice("The parameters cannot be read", str(error))
    command = f"<pre><code>opsnb run {escape(info.id)}{_options(parameters)}</code></pre>"
    if not parameters:
        return command
    rows = (
        [
            code(parameter.name),
            escape(parameter.type),
            "required" if parameter.required else code(json.dumps(parameter.default)),
            escape(parameter.description),
        ]
        for parameter in parameters
    )
    return table(["Parameter", "Type", "Default", "What it is"], rows) + command


def _options(parameters: Iterable[Parameter]) -> str:
    options = {"target": " -t TARGET", "apply": " [--apply]"}
    return "".join(
        options.get(
            parameter.name, f" -p {escape(parameter.name)}=..." if parameter.required else ""
        )
        for parameter in parameters
    )


def _tidied(html: str, source: str, pages: Mapping[str, Any]) -> str:
    soup = BeautifulSoup(html, "html.parser")
    for clutter in soup.select(_CLUTTER):
        clutter.decompose()
    for anchor in soup.select("a.anchor-link"):
        anchor["class"] = "headerlink"
    for block in soup.select(".highlight-ipynb"):
        block["class"] = "highlight"
        for pre in block.find_all("pre"):  # as the theme has it: with a button to copy the code
            inner = soup.new_tag("code")
            inner.extend(list(pre.children))
            pre.append(inner)
    for reference in soup.select("a[href]"):
        reference["href"] = _page_of(str(reference["href"]), source, pages)
    return str(soup)


def _page_of(href: str, source: str, pages: Mapping[str, Any]) -> str:
    """Return the page that stands for the notebook that `source` links to by `href`."""
    match = _NOTEBOOK_LINK.fullmatch(href)
    if match is None:
        return href
    folder = posixpath.dirname(source)
    wanted = posixpath.normpath(posixpath.join(folder, f"{match['path']}.ipynb"))
    return f"{match['path']}.html{match['rest'] or ''}" if wanted in pages else href


def _broken(info: RunbookInfo, error: Exception) -> str:
    return f"<h1>{escape(info.name)}</h1>" + notice(
        "This runbook cannot be shown", f"{Path(info.path).name}: {type(error).__name__}: {error}"
    )
