"""The pages of records, one for each.

A record's page is put together from three parts: the shell, a page that mkdocs made with marks
where the others go; the body, converted once from the executed notebook and taken over from the
previous site while the record is the same; and the trail to its neighbours. So thousands of records
cost one page of mkdocs, and nothing of Material's own is copied by hand.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import nbformat.v4
from markupsafe import Markup
from nbconvert import HTMLExporter

from opsnb.model import RunResult
from opsnb.records.ending import word
from opsnb.records.members import members
from opsnb.records.members import worst_first as worst_members
from opsnb.site.entries import Entry
from opsnb.site.safe_html import safe
from opsnb.site.templates import FOLDER, render
from opsnb.view.findings import finding_html, worst_first

SHELL = """---
hide:
  - navigation
  - toc
search:
  exclude: true
---

# RECORD-TITLE

<div>RECORD-BODY</div>
"""
"""The Markdown of the page whose result is the shell of all records' pages."""

_NOTEBOOK_LINK = re.compile(r'href="(?P<path>(?![a-z]+:)[\w./-]+)\.ipynb(?=["#])')
_MARK = re.compile(r"<!-- record ([0-9a-f]{64}) -->(.*)<!-- /record -->", re.DOTALL)


def body(result: RunResult, notebook: Mapping[str, Any] | str, former: Path | None = None) -> str:
    """Return the part of a record's page that depends on the record alone.

    `notebook` is the executed notebook, or a sentence that says why it cannot be read. The body is
    taken from the page `former` when that was made of the same record.
    """
    content = json.dumps(notebook, sort_keys=True) + result.model_dump_json() + _own_code()
    digest = hashlib.sha256(content.encode()).hexdigest()
    if former is not None and former.is_file():
        match = _MARK.search(former.read_text(encoding="utf-8"))
        if match and match[1] == digest:
            return match[0]
    html = render(
        "record",
        result=result,
        entry=Entry.of(result),
        word=word(result),
        **_content(result, notebook),
    )
    return f"<!-- record {digest} -->{html}<!-- /record -->"


def page(shell: str, entry: Entry, record: str, trail: str) -> str:
    """Return the whole page of a record."""
    title = escape(f"{entry.title} on {entry.target}")
    return shell.replace("RECORD-TITLE", title).replace("<div>RECORD-BODY</div>", trail + record)


@cache
def _own_code() -> str:
    """Return what changes when the way that bodies are made changes."""
    files = sorted([*FOLDER.parent.rglob("*.py"), *FOLDER.glob("*.j2")])
    return "".join(file.read_text(encoding="utf-8") for file in files)


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
