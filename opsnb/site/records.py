"""The pages of records: one for each, newest first, and the lists that lead to them.

A record's page is put together from three parts: the shell, a page that mkdocs made with marks
where the others go; the body, converted once from the executed notebook and taken over from the
former site as long as the record is the same; and the trail to its neighbours. So thousands of
records cost one page of mkdocs, and nothing of Material's own is copied by hand.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat.v4
from nbconvert import HTMLExporter

from opsnb.demo.drills import DRILLS
from opsnb.model import RunResult
from opsnb.records.ending import word
from opsnb.records.members import members
from opsnb.records.members import worst_first as worst_members
from opsnb.records.stored import RUN_ID
from opsnb.site.entries import Entry
from opsnb.site.html import code, link, moment, notice, pill, table
from opsnb.site.safe_html import safe
from opsnb.view.findings import finding_html, worst_first
from opsnb.view.formats import duration

NEWEST = 200
"""How many records the first list shows; older ones stand on a page for each month."""
SEARCHABLE = 500
"""How many of the newest records the search knows; its index is loaded as a whole."""

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

_TEMPLATE = """{% extends "basic/index.html.j2" %}
{% block input_group %}{% set tags = cell.metadata.tags or [] %}
{% if "parameters" not in tags and "injected-parameters" not in tags %}
<details class="quiet"><summary>code</summary>{{ super() }}</details>
{% endif %}{% endblock %}
{% block markdowncell scoped %}{% if cell.metadata.opsnb_preface %}
<details class="quiet"><summary>What this runbook is for</summary>{{ super() }}</details>
{% else %}{{ super() }}{% endif %}{% endblock %}"""
_NOTEBOOK_LINK = re.compile(r'href="(?P<path>(?![a-z]+:)[\w./-]+)\.ipynb(?=["#])')
_MARK = re.compile(r"<!-- record ([0-9a-f]{64}) -->(.*)<!-- /record -->", re.DOTALL)


# --- one record ------------------------------------------------------------------------------


def body(result: RunResult, notebook: Mapping[str, Any] | str, former: Path | None = None) -> str:
    """Return the part of a record's page that depends on the record alone.

    `notebook` is the executed notebook, or a sentence on why it cannot be read. The body is taken
    from the page `former` when that was made of the same.
    """
    content = json.dumps(notebook, sort_keys=True) + result.model_dump_json() + _own_code()
    digest = hashlib.sha256(content.encode()).hexdigest()
    if former is not None and former.is_file():
        match = _MARK.search(former.read_text(encoding="utf-8"))
        if match and match[1] == digest:
            return match[0]
    found = _members(result) if result.is_summary else _notebook(result, notebook)
    return f"<!-- record {digest} -->{_head(result)}{found}<!-- /record -->"


def page(shell: str, entry: Entry, record: str, trail: str) -> str:
    """Return the whole page of a record."""
    title = escape(f"{entry.title} on {entry.target}")
    return shell.replace("RECORD-TITLE", title).replace("<div>RECORD-BODY</div>", trail + record)


def trails(entries: Sequence[Entry], runbooks: Iterable[str]) -> Iterator[tuple[Entry, str]]:
    """Yield each entry with the links to its runbook, its neighbours and the rest of its story.

    Neighbours are the runs before and after it of the same runbook on the same target. Runs that
    continue one another are one story.
    """
    known = set(runbooks)
    stories = _stories(entries)
    summaries = {entry.run_id: entry for entry in entries if entry.is_summary}
    newer: dict[tuple[str, str], Entry] = {}
    pending: dict[str, Entry | None] = {}
    older: dict[str, Entry] = {}
    for entry in entries:
        key = (entry.runbook, entry.target)
        pending[entry.run_id] = newer.get(key)
        if key in newer:
            older[newer[key].run_id] = entry
        newer[key] = entry
    for entry in entries:
        places = [link("index.html", "Records"), _runbook(entry, known)]
        summary = summaries.get(entry.fleet or "")
        if summary and summary is not entry:
            places.append(link(summary.page, f"summary of {summary.target}"))
        trail = _trail(places, older.get(entry.run_id), pending[entry.run_id])
        yield entry, trail + _story(entry, stories[entry.run_id])


def _runbook(entry: Entry, known: Collection[str]) -> str:
    if entry.runbook in known:
        return link(f"../runbooks/{entry.runbook}.html", entry.runbook)
    drill = next((each for each in DRILLS.values() if each.id == entry.runbook), None)
    return link(f"../drills.html#{drill.name}", entry.runbook) if drill else code(entry.runbook)


def _stories(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return by run id the runs that continue one another, the newest first."""
    stories: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.started):
        story = stories.get(entry.parent or "", [])
        story.insert(0, entry)
        stories[entry.run_id] = story
    return stories


def _story(current: Entry, story: Sequence[Entry]) -> str:
    """Return the box that shows the story of `current`; nothing when it stands alone."""
    if len(story) == 1:
        return ""
    rows = (
        [
            entry.pill,
            f"<b>this run</b>, {moment(entry.started)}"
            if entry is current
            else f'<a href="{escape(entry.page)}">{moment(entry.started)}</a>',
            escape(entry.sentence),
        ]
        for entry in story
    )
    title = f"One story in {len(story)} runs: each continues the one below it"
    return (
        f'<div class="admonition info story"><p class="admonition-title">{title}</p>'
        f"{table(['Status', 'Run', 'What was found'], rows)}</div>"
    )


def _trail(places: Sequence[str], older: Entry | None, newer: Entry | None) -> str:
    steps = [
        f'<a href="{escape(other.page)}" rel="{rel}" title="{other.started:%F %H:%M}">{words}</a>'
        for other, rel, words in ((older, "prev", "← earlier run"), (newer, "next", "later run →"))
        if other
    ]
    return (
        f'<nav class="trail"><span>{" · ".join(places)}</span><span>{" ".join(steps)}</span></nav>'
    )


@cache
def _own_code() -> str:
    """Return what changes when the way that bodies are made changes."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _head(result: RunResult) -> str:
    entry = Entry.of(result)
    broke = notice(word(result), result.error) if result.error else ""
    sentence = "" if result.error else f" {escape(entry.sentence)}"
    return (
        f'{broke}<p class="headline">{entry.pill}{sentence}</p>'
        f'<dl class="facts">{"".join(_facts(result))}</dl>{_parameters(result)}'
    )


def _facts(result: RunResult) -> Iterator[str]:
    facts = {
        "When": moment(result.started),
        "Took": duration(result.seconds),
        "Target": _target(result),
        "Operator": escape(f"{result.operator} on {result.host}"),
        "Trigger": escape(result.origin),
        "Scheduled for": moment(result.scheduled) if result.scheduled else "",
        "Incident": escape(result.incident or ""),
        "Exit code": str(result.exit_code),
        "Runbook": code(result.runbook_sha256[:12]) + _commit(result.commit),
        "Parent": _record(result.parent, result.parent) if result.parent else "",
        "Record": code(result.run_id),
    }
    return (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items() if value)


def _record(run_id: str | None, words: str) -> str:
    """Return a link to the page of a record; the words alone when that is no run's id."""
    if run_id is None or not RUN_ID.fullmatch(run_id):
        return escape(words)
    return link(f"{run_id}.html", words)


def _target(result: RunResult) -> str:
    if result.is_summary:
        return f"{escape(result.target)}: {len(result.findings)} targets"
    return link(f"../index.html#target-{result.target}", result.target)


def _commit(commit: str | None) -> str:
    if not commit:
        return ""
    changed = ", changed since" if commit.endswith("+") else ""
    return f" of {code(commit.rstrip('+')[:10])}{changed}"


def _parameters(result: RunResult) -> str:
    if not result.parameters:
        return ""
    rows = ([code(name), code(json.dumps(value))] for name, value in result.parameters.items())
    return table(["Parameter", "Value"], rows)


def _members(result: RunResult) -> str:
    """Return what a summary tells of each target, the worst on top, with links to their records."""
    return _filterable(
        ["Status", "Target", "Took", "What was found"],
        (
            _row(
                pill(member.status),
                {"status": member.status, "target": member.target},
                _record(member.run_id, member.target),
                f"exit code {member.exit_code}",
                duration(member.seconds) if member.run_id else "",
                member.sentence,
            )
            for member in worst_members(members(result))
        ),
    )


def _notebook(result: RunResult, notebook: Mapping[str, Any] | str) -> str:
    """Return the executed notebook as HTML; without one, the findings that `result.json` kept."""
    reason = notebook
    if not isinstance(notebook, str):
        try:
            html = _linked(safe(_converted(notebook)), result.runbook)
            return f'<div class="notebook">{html}</div>'
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one notebook, the others go on
            reason = f"{type(error).__name__}: {error}"
    findings = "".join(finding_html(finding) for finding in worst_first(result.findings))
    findings = _linked(safe(findings), result.runbook)
    return notice("The notebook of this record cannot be shown", str(reason), "warning") + findings


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
        raw_template=_TEMPLATE,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )


# --- lists -----------------------------------------------------------------------------------


def months(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by month when there are more than one list should hold, else nothing."""
    if len(entries) <= NEWEST:
        return {}
    return {month: list(group) for month, group in groupby(entries, lambda entry: entry.month)}


def overview(entries: Sequence[Entry]) -> str:
    """Return the body of the first list: the newest records, and the way to older ones."""
    if not entries:
        return (
            "<p>There are no records yet. Every run leaves one:</p>"
            "<pre><code>opsnb run health/daily</code></pre>"
        )
    by_month = months(entries)
    if not by_month:
        return listing(entries)
    links = " ".join(
        f"<li>{link(f'{month}.html', month)} <span class='aside'>{len(group)}</span></li>"
        for month, group in by_month.items()
    )
    return (
        f"<p>The newest {NEWEST} of {len(entries):,}. All of them, by month:</p>"
        f'<ul class="months">{links}</ul>\n{listing(entries[:NEWEST])}'
    )


def listing(entries: Iterable[Entry]) -> str:
    """Return a table of records, which the page's script makes filterable."""
    return _filterable(
        ["Status", "Run", "When", "What was found"],
        (
            _row(
                entry.pill,
                {"status": entry.status, "target": entry.target, "runbook": entry.runbook},
                link(entry.page, entry.title),
                entry.target,
                moment(entry.started),
                entry.sentence,
            )
            for entry in entries
        ),
    )


def _filterable(head: Sequence[str], rows: Iterable[str]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    return (
        f'<table class="records"><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _row(  # noqa: PLR0913, PLR0917 - each is a part of the row
    status: str, marks: Mapping[str, str], name: str, aside: str, third: str, sentence: str
) -> str:
    """Return a row with the `marks` to filter by; `status`, `name` and `third` are HTML."""
    data = "".join(f' data-{mark}="{escape(value)}"' for mark, value in marks.items())
    return (
        f"<tr{data}><td>{status}</td><td>{name}<br><span class='aside'>{escape(aside)}</span>"
        f"</td><td>{third}</td><td>{escape(sentence)}</td></tr>"
    )


def search_documents(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return what the site's search is told about the newest records."""
    return [
        {
            "location": f"records/{entry.page}",
            "title": escape(f"{entry.title} on {entry.target}, {entry.started:%Y-%m-%d %H:%M}"),
            "text": escape(f"{entry.outcome}. {entry.details or entry.sentence}"[:400]),
        }
        for entry in entries[:SEARCHABLE]
    ]
