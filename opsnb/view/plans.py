"""The journal of an action in HTML and text: the plan, what is done, and how to undo it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from opsnb.model import ActionRecord, ActionState
from opsnb.view.formats import size
from opsnb.view.html import render
from opsnb.view.styles import ACTION_COLOURS
from opsnb.view.tables import MOST_ROWS, rows_html, rows_text

STANDS_FOR = "same as"
"""The label of the handbook's command for an action."""


def action_html(record: ActionRecord) -> str:
    """Return the journal of an action in HTML."""
    sample = rows_html(record.sample) if record.sample else ""
    return render("action", **parts(record), colour=ACTION_COLOURS[record.state], sample=sample)


def parts(record: ActionRecord) -> dict[str, Any]:
    """Return what every drawing of an action shows, but for its sample."""
    facts = [("done", _progress(record)), *action_facts(record)]
    return {
        "record": record,
        "facts": [(label, words) for label, words in facts if words],
        "command": STANDS_FOR,
        "sample_title": _sample_title(record),
    }


def action_text(record: ActionRecord) -> str:
    """Return the journal of an action as plain lines."""
    lines = [f"{record.state.upper():<12}{record.name}  {record.summary}"]
    for label, words in (
        ("", record.error),
        ("warning", record.warning),
        ("done", _progress(record)),
        *action_facts(record),
    ):
        if words:
            lines.append(f"{'':<12}{label + ': ' if label else ''}{words}")
    if record.sample and record.state is ActionState.PLANNED:
        lines.append(textwrap.indent(rows_text(record.sample), " " * 12))
    return "\n".join(lines)


def action_facts(record: ActionRecord) -> Iterator[tuple[str, str]]:
    """Yield the facts of an action besides its progress: a label, and the words."""
    if record.command and (record.planned or record.state is ActionState.REFUSED):
        yield STANDS_FOR, record.command
    if record.planned:
        yield "undo", record.undo or "none"
    if record.bytes is not None:
        yield "size", size(record.bytes)


def _progress(record: ActionRecord) -> str:
    if record.state in (ActionState.PLANNED, ActionState.REFUSED):
        return ""
    effect = {True: ", verified", False: ", the effect was NOT seen", None: ""}[record.verified]
    return f"{record.applied:,} of {record.planned:,} {record.unit}{effect}"


def _sample_title(record: ActionRecord) -> str:
    shown = min(len(record.sample), MOST_ROWS)
    return "which" if shown >= record.planned else f"which: {shown} of {record.planned:,}"
