"""How findings look: as HTML for notebooks and pages, and as plain lines for terminals and diffs.

The HTML carries its own styles, takes the page's text colour and background, and wraps on a
narrow screen, so that one form serves JupyterLab, light and dark pages, a phone and print.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from opsnb.model import (
    FINDING_MIME,
    FINDINGS_MIME,
    ActionRecord,
    ActionState,
    Finding,
    Remedy,
    Row,
    Status,
    Threshold,
)
from opsnb.view.commands import as_option
from opsnb.view.formats import number, size

COLOURS = {
    Status.OK: "#1a7f37",
    Status.WARN: "#9a6700",
    Status.CRIT: "#cf222e",
    Status.UNKNOWN: "#6e40c9",
    Status.SKIPPED: "#59636e",
}
"""Backgrounds on which white text has a contrast of at least 4.5."""

TERMINAL_STYLES = {
    Status.OK: "green",
    Status.WARN: "yellow",
    Status.CRIT: "bold red",
    Status.UNKNOWN: "magenta",
    Status.SKIPPED: "dim",
}
"""rich styles, always beside the word: colour alone tells nothing on paper or in a log."""

MOST_ROWS = 20
STANDS_FOR = "stands for"
"""The label of the handbook's own command for an action."""
_NAMES = frozenset({"Redis", "Valkey", "Node", "Docker"})
"""Words that keep their capital letter inside a sentence."""
_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:14px"
_LINE = "rgba(128,128,128,.35)"
_CELL = f"padding:3px 12px 3px 0;border:0;border-bottom:1px solid {_LINE};text-align:left"


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return `findings` with the worst on top, otherwise in the order given."""
    return sorted(findings, key=lambda finding: -finding.status.severity)


def pill(status: Status) -> str:
    """Return `status` as a coloured word, in HTML."""
    return _badge(status, COLOURS[status])


def _badge(word: str, colour: str) -> str:
    return (
        f'<span style="display:inline-block;min-width:64px;padding:1px 8px;border-radius:10px;'
        f"background:{colour};color:#fff;font-weight:600;font-size:12px;text-align:center;"
        f'-webkit-print-color-adjust:exact;print-color-adjust:exact">{word.upper()}</span>'
    )


def scale(value: float, threshold: Threshold) -> str:
    """Return `value` on a scale with the warn and crit marks, as inline SVG."""
    low, high = 0.0, _top(value, threshold)
    width, bar = 200, 8

    def at(number: float) -> float:
        return round(4 + (width - 8) * (min(max(number, low), high) - low) / (high - low), 1)

    marks = "".join(
        f'<rect x="{at(limit) - 1:.1f}" y="9" width="2" height="{bar + 4}" '
        f'fill="{COLOURS[status]}"/>'
        f'<text x="{at(limit):.1f}" y="31" font-size="9" text-anchor="middle" '
        f'fill="currentColor" opacity=".75">{number(limit)}</text>'
        for status, limit in ((Status.WARN, threshold.warn), (Status.CRIT, threshold.crit))
        if limit is not None
    )
    colour = COLOURS[threshold.judge(value)]
    return (
        f'<svg viewBox="0 0 {width} 34" width="{width}" height="34" role="img" '
        f'aria-label="{escape(_scale_words(value, threshold))}" '
        f'style="display:block;max-width:100%">'
        f'<rect x="4" y="11" width="{width - 8}" height="{bar}" rx="4" '
        f'fill="currentColor" opacity=".13"/>'
        f'<rect x="4" y="11" width="{max(at(value) - 4, 2):.1f}" height="{bar}" rx="4" '
        f'fill="{colour}" opacity=".75"/>'
        f'{marks}<circle cx="{at(value)}" cy="15" r="5" fill="{colour}" stroke="#fff" '
        f'stroke-width="1.5"/></svg>'
    )


def finding_html(finding: Finding, rank: int | None = None) -> str:
    """Return one row: status, name, value on its scale, sentence, what treats it, the evidence.

    `rank` is its place among the causes that were found. A cause that is ruled out or not known
    has no status beside its name, which would read as its contrary.
    """
    if is_set_aside(finding):
        return set_aside_html([finding])
    place = f"{rank}. " if rank else ""
    measure = ""
    if finding.value is not None:
        measure = f"<b>{number(finding.value, finding.unit)}</b>"
        if finding.threshold and finding.threshold.limits and math.isfinite(finding.value):
            measure += scale(finding.value, finding.threshold)
    return (
        f'<div class="opsnb-finding" style="{_FONT};display:flex;flex-wrap:wrap;gap:4px 16px;'
        f'align-items:flex-start;padding:4px 2px;border-top:1px solid {_LINE}">'
        f'<div style="flex:0 0 80px">{pill(finding.status)}</div>'
        f'<div style="flex:1 1 160px;max-width:260px;min-width:150px">'
        f'<div style="font-weight:600">{place}{escape(finding.title or finding.name)}</div>'
        f'<div style="font-size:12px;opacity:.75">{escape(finding.name)}</div></div>'
        f'<div style="flex:0 0 204px">{measure}</div>'
        f'<div style="flex:3 1 260px;min-width:0;overflow-wrap:anywhere">'
        f"{escape(finding.message if finding.is_cause else named(finding))}"
        f"{_share_html(finding)}{''.join(map(_remedy, finding.remedies))}{_none_html(finding)}"
        f"</div>{_evidence(finding)}</div>"
    )


def finding_text(finding: Finding) -> str:
    """Return one aligned line, with the evidence below it when the status is not ok."""
    if is_set_aside(finding):
        return set_aside_text([finding])
    value = "" if finding.value is None else number(finding.value, finding.unit)
    lines = [f"{finding.status.upper():<8}{finding.name:<22}{value:>14}  {named(finding)}"]
    lines += [f"{'':<8}{words}" for words in (share(finding), no_next(finding)) if words]
    for remedy in finding.remedies:
        lines += [f"{'':<8}Next: {remedy.command}"]
        lines += [f"{'':<14}({remedy.why})"] * bool(remedy.why)
    if finding.rows and finding.status not in (Status.OK, Status.SKIPPED):
        lines.append(textwrap.indent(rows_text(finding.rows), " " * 8))
    return "\n".join(lines)


def finding_data(finding: Finding, rank: int | None = None) -> dict[str, Any]:
    """Return `finding` as a notebook's output holds it: for programs, in HTML and as plain text."""
    return {
        FINDING_MIME: finding.model_dump(mode="json"),
        "text/html": finding_html(finding, rank),
        "text/plain": (f"{rank}. " if rank else "") + finding_text(finding),
    }


def set_aside_data(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return causes that are ruled out or not known as one output of a notebook."""
    return {
        FINDINGS_MIME: [finding.model_dump(mode="json") for finding in findings],
        "text/html": set_aside_html(findings),
        "text/plain": set_aside_text(findings),
    }


def is_set_aside(finding: Finding) -> bool:
    """Whether this is a cause that was not found: ruled out, or not known."""
    return finding.is_cause and finding.status not in (Status.WARN, Status.CRIT)


def set_aside(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """Yield what is said of causes that were not found: `Not known` and `Ruled out`, and which.

    Each stands with the reason: `worker down (3 workers connected)`.
    """
    for heading, are_ruled_out in (("Not known", False), ("Ruled out", True)):
        causes = [
            f"{_inside_sentence(finding.title)} ({_inside_sentence(finding.message.rstrip('.'))})"
            for finding in findings
            if is_set_aside(finding) and finding.is_ruled_out is are_ruled_out
        ]
        if causes:
            yield heading, "; ".join(causes) + "."


def set_aside_text(findings: Sequence[Finding]) -> str:
    """Return the causes that were not found as plain sentences."""
    return "\n".join(f"{heading}: {causes}" for heading, causes in set_aside(findings))


def set_aside_html(findings: Sequence[Finding]) -> str:
    """Return the causes that were not found as a block of sentences."""
    return "".join(
        f'<div class="opsnb-set-aside" style="{_FONT};margin-top:8px;padding-top:4px;'
        f'border-top:1px solid {_LINE};overflow-wrap:anywhere"><b>{heading}:</b> '
        f"{escape(causes)}</div>"
        for heading, causes in set_aside(findings)
    )


def named(finding: Finding) -> str:
    """Return what a finding says; a cause says which it is, a symptom what explains it."""
    if finding.explained_by:
        return f"{finding.message} Likely cause: see {finding.explained_by}."
    if not finding.is_cause:
        return finding.message
    if is_set_aside(finding):
        return set_aside_text([finding])
    return f"{finding.title}: {finding.message}"


def _inside_sentence(title: str) -> str:
    """Return a title as it stands inside a sentence: `worker down`, but `Redis down`."""
    first = title.partition(" ")[0]
    is_name = first in _NAMES or any(letter.isupper() or letter.isdigit() for letter in first[1:])
    return title if is_name else title[:1].lower() + title[1:]


def share(finding: Finding) -> str:
    """Return how much of the symptom a cause explains, in words; empty where none is known."""
    if not finding.is_cause or finding.share is None:
        return ""
    return f"Likely share of the symptom: {100 * finding.share:.0f} %."


def no_next(finding: Finding) -> str:
    """Return why nothing treats a finding, in words; empty where a runbook or its cause does."""
    return (
        f"Next: none, {finding.untreated}."
        if finding.untreated and not finding.explained_by
        else ""
    )


def _share_html(finding: Finding) -> str:
    words = share(finding)
    return f'<div style="font-size:12px;opacity:.75">{words}</div>' if words else ""


def _none_html(finding: Finding) -> str:
    words = no_next(finding)
    return f'<div style="margin-top:4px">{escape(words)}</div>' if words else ""


def heading_html(words: str) -> str:
    """Return a small heading above rows."""
    return f'<div style="{_FONT};font-weight:600;margin-top:10px">{escape(words)}</div>'


def _remedy(remedy: Remedy) -> str:
    """Return what treats it: a link that opens the runbook, and the line that runs it."""
    return (
        f'<div style="margin-top:4px"><b>Next:</b> <a href="{escape(_link(remedy))}">'
        f"{escape(remedy.runbook)}</a> {escape(remedy.why)}"
        f'<br><code style="user-select:all">{escape(remedy.command)}</code></div>'
    )


def _link(remedy: Remedy) -> str:
    """Return the path of the runbook from where every notebook stands, with its parameters."""
    target = {"target": remedy.target} if remedy.target else {}
    carried = "&".join(
        f"{quote(name, safe='')}={quote(as_option(value), safe='')}"
        for name, value in {**target, **remedy.parameters}.items()
    )
    return f"../{remedy.runbook}.ipynb#{carried}"


def headline_html(status: Status, words: str) -> str:
    """Return the line above the rows: the worst status and a summary."""
    return (
        f'<div class="opsnb-headline" style="{_FONT};display:flex;flex-wrap:wrap;gap:4px 12px;'
        f'align-items:center;padding:4px 2px 8px;font-size:16px">'
        f"{pill(status)}<span>{escape(words)}</span></div>"
    )


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings have which status, the worst first: `1 crit, 10 ok`."""
    counted = {
        status: sum(finding.status is status for finding in findings)
        for status in sorted(Status, key=lambda status: -status.severity)
    }
    return ", ".join(f"{count} {status}" for status, count in counted.items() if count)


def titled_html(title: str, body: str) -> str:
    """Return `body` (HTML) under a small heading."""
    return heading_html(title) + body


_ACTION_COLOURS = {
    ActionState.PLANNED: "#0b5fae",
    ActionState.REFUSED: COLOURS[Status.CRIT],
    ActionState.APPLYING: COLOURS[Status.WARN],
    ActionState.APPLIED: COLOURS[Status.OK],
    ActionState.INTERRUPTED: COLOURS[Status.CRIT],
    ActionState.FAILED: COLOURS[Status.CRIT],
}


def action_html(record: ActionRecord) -> str:
    """Return the journal of an action: its plan, how far it came, and what undoes it."""
    facts = "".join(
        f'<tr><td style="{_CELL};opacity:.75">{label}</td><td style="{_CELL}">'
        + (f"<code>{escape(words)}</code>" if label == STANDS_FOR else escape(words))
        + "</td></tr>"
        for label, words in (("done", _progress(record)), *action_facts(record))
        if words
    )
    warning = f"<div><b>{escape(record.warning)}</b></div>" if record.warning else ""
    error = f'<div style="margin:4px 0"><b>{escape(record.error)}</b></div>' if record.error else ""
    sample = ""
    if record.sample:
        sample = (
            f'<details open style="margin-top:2px"><summary style="cursor:pointer;font-size:12px;'
            f'opacity:.75">{escape(_sample_title(record))}</summary>'
            f"{rows_html(record.sample)}</details>"
        )
    return (
        f'<div class="opsnb-action" style="{_FONT};border:1px solid {_LINE};border-left:4px solid '
        f'{_ACTION_COLOURS[record.state]};border-radius:4px;padding:8px 12px;margin:6px 0">'
        f'<div style="display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center">'
        f"{_badge(record.state, _ACTION_COLOURS[record.state])}"
        f"<b>{escape(record.title)}</b>"
        f'<span style="font-size:12px;opacity:.75">{escape(record.name)} on '
        f"{escape(record.target)}</span></div>"
        f'<div style="margin:6px 0">{escape(record.summary)}</div>{error}{warning}'
        f'<div style="overflow-x:auto"><table style="{_FONT};font-size:13px;border-collapse:'
        f'collapse;background:none;border:0">{facts}</table></div>{sample}</div>'
    )


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
    """Yield what is to be known of an action besides how far it came: a label, and the words."""
    if record.command:
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


def findings_table_html(findings: Sequence[Finding]) -> str:
    """Return the findings' numbers as a table, the worst first."""
    return rows_html(_table_rows(findings))


def findings_table_text(findings: Sequence[Finding]) -> str:
    """Return the findings' numbers as an aligned plain table, the worst first."""
    return rows_text(_table_rows(findings))


def rows_html(rows: Sequence[Row]) -> str:
    """Return `rows` as an HTML table that scrolls inside itself; long ones are cut and say so."""
    names = columns(rows)
    head = "".join(f'<th style="{_CELL}">{escape(heading(column))}</th>' for column in names)
    body = "".join(
        "<tr>" + "".join(_cell(row.get(column)) for column in names) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    return (
        f'<div style="overflow-x:auto;max-width:100%"><table style="{_FONT};font-size:13px;'
        f"border-collapse:collapse;margin:4px 0;background:none;border:0;overflow-wrap:break-word"
        f'"><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>{_cut_note(rows)}"
    )


def rows_text(rows: Sequence[Row]) -> str:
    """Return `rows` as aligned plain text; long ones are cut and say so."""
    names = columns(rows)
    cells = [[plain(row.get(column)) for column in names] for row in rows[:MOST_ROWS]]
    lines = [[heading(column) for column in names], *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    text = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return text + (f"\n... and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else "")


def _top(value: float, threshold: Threshold) -> float:
    """Return the right end of the scale."""
    limits = [limit for limit in (threshold.warn, threshold.crit) if limit is not None]
    if threshold.unit == "%" and max([value, *limits]) > 25:
        return 100.0
    return max([value * 1.1, *(limit * 1.3 for limit in limits), 1e-9])


def _scale_words(value: float, threshold: Threshold) -> str:
    limits = (("warn", threshold.warn), ("crit", threshold.crit))
    words = [f"{name} at {number(limit)}" for name, limit in limits if limit is not None]
    return ", ".join([number(value, threshold.unit), *words])


def _evidence(finding: Finding) -> str:
    if not finding.rows:
        return ""
    is_open = "" if finding.status in (Status.OK, Status.SKIPPED) else " open"
    # Below, in all the width: a table in the column of the sentence would be squeezed.
    return (
        f'<details{is_open} style="flex:1 1 100%;min-width:0;margin-left:min(96px,8vw)">'
        f'<summary style="cursor:pointer;font-size:12px;opacity:.75">evidence</summary>'
        f"{rows_html(finding.rows)}</details>"
    )


def _table_rows(findings: Sequence[Finding]) -> list[Row]:
    return [
        {
            "status": finding.status,
            "check": finding.name,
            "value": _optional(finding.value, finding.unit),
            "warn": _optional(finding.threshold.warn if finding.threshold else None),
            "crit": _optional(finding.threshold.crit if finding.threshold else None),
            "took": f"{finding.seconds * 1000:.0f} ms",
        }
        for finding in worst_first(findings)
        if not is_set_aside(finding)
    ]


def _optional(value: float | None, unit: str = "") -> str:
    return "" if value is None else number(value, unit)


def columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns of `rows`, as they turn up."""
    return list(dict.fromkeys(column for row in rows for column in row))


def heading(column: str) -> str:
    """Return the words that stand above a column."""
    return column.replace("_", " ")


def _cell(value: Any) -> str:
    if isinstance(value, Status):
        return f'<td style="{_CELL}">{pill(value)}</td>'
    right = ";text-align:right;font-variant-numeric:tabular-nums" if is_number(value) else ""
    return f'<td style="{_CELL}{right}">{escape(plain(value))}</td>'


def is_number(value: Any) -> bool:
    """Whether `value` stands at the right of its column."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(value: Any) -> str:
    """Return a value as a person writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if is_number(value) else str(value)


def _cut_note(rows: Sequence[Row]) -> str:
    more = len(rows) - MOST_ROWS
    return f'<div style="font-size:12px;opacity:.75">… and {more} more</div>' if more > 0 else ""
