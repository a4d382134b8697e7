"""The page of one record."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import nbformat.v4
from markupsafe import Markup
from nbconvert import HTMLExporter

from opsnb.errors import OpsnbError
from opsnb.model import RunResult
from opsnb.records.ending import word
from opsnb.records.members import members
from opsnb.records.members import worst_first as worst_members
from opsnb.site.context import Site
from opsnb.site.entries import Entry
from opsnb.site.layout import page
from opsnb.site.safe_html import safe
from opsnb.site.templates import FOLDER
from opsnb.view.findings import finding_html, worst_first

_NOTEBOOK_LINK = re.compile(r'href="(?P<path>(?![a-z]+:)[\w./-]+)\.ipynb(?=["#])')


def content(site: Site, result: RunResult, trail: str) -> bytes:
    """Return the page of a record; `trail` leads to its neighbours."""
    entry = Entry.of(result)
    try:
        notebook: dict[str, Any] | str = site.store.notebook(result.run_id)
    except OpsnbError as error:
        notebook = str(error)
    return page(
        "record",
        path=f"records/{entry.page}",
        title=f"{entry.title} on {entry.target}",
        tab="Records",
        result=result,
        entry=entry,
        word=word(result),
        trail=Markup(trail),
        **_content(result, notebook),
    ).encode("utf-8", "replace")


def _content(result: RunResult, notebook: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return what the template shows below the facts.

    That is the targets of a summary, the worst first, or the executed notebook; where it cannot be
    shown, the findings of `result.json`, and why.
    """
    shown: dict[str, Any] = {"members": [], "failure": "", "notebook": "", "findings": ""}
    if result.is_summary:
        return shown | {"members": worst_members(members(result))}
    failure = notebook
    if not isinstance(notebook, str):
        try:
            return shown | {"notebook": _trusted(_converted(notebook), result.runbook)}
        except Exception as error:  # noqa: BLE001 - one notebook must not hide the others
            failure = f"{type(error).__name__}: {error}"
    findings = "".join(finding_html(finding) for finding in worst_first(result.findings))
    return shown | {"failure": failure, "findings": _trusted(findings, result.runbook)}


def _trusted(html: str, runbook: str) -> Markup:
    """Return `html` made safe, with links to the pages of other runbooks."""
    return Markup(_linked(safe(html), runbook))


def _linked(html: str, runbook: str) -> str:
    """Return `html` with its links to other notebooks led to their pages, seen from a record's."""
    section = f"runbooks/{posixpath.dirname(runbook)}"

    def page_of(match: re.Match[str]) -> str:
        return f'href="../{posixpath.normpath(posixpath.join(section, match["path"]))}.html'

    return _NOTEBOOK_LINK.sub(page_of, html)


def _converted(notebook: Mapping[str, Any]) -> str:
    node = nbformat.v4.to_notebook(_with_preface({**notebook}))
    html, _ = _exporter().from_notebook_node(node)
    return str(html)


def _with_preface(notebook: dict[str, Any]) -> dict[str, Any]:
    """Fold the text above the first code cell, which the runbook's own page shows anyway."""
    cells = list(notebook["cells"])
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    if first:
        text = "\n\n".join("".join(cell["source"]) for cell in cells[:first])
        text = re.sub(r"\A\s*# .*\n?", "", text)  # the page has its own title
        metadata = {"opsnb_preface": True}
        preface = {**cells[0], "cell_type": "markdown", "source": text, "metadata": metadata}
        cells[:first] = [preface] if text.strip() else []
    return {**notebook, "cells": cells}


@cache
def _exporter() -> HTMLExporter:
    return HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="basic",
        raw_template=(FOLDER / "notebook.html.j2").read_text(encoding="utf-8"),
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
