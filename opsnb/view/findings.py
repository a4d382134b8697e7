"""Findings in HTML for notebooks and pages, and as plain lines for terminals and diffs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from opsnb.model import FINDING_MIME, FINDINGS_MIME, Finding, Remedy, Row, Status, Threshold
from opsnb.view.commands import as_option
from opsnb.view.formats import number
from opsnb.view.html import render
from opsnb.view.styles import COLOURS
from opsnb.view.tables import rows_html, rows_text

_NAMES = frozenset({"Redis", "Valkey", "Node", "Docker"})
"""Words that keep their capital letter inside a sentence."""
_SCALE_WIDTH = 200
_SET_ASIDE = {
    Status.UNKNOWN: "Not known",
    Status.SKIPPED: "Not checked",
    Status.OK: "Ruled out",
}
"""What is said of a cause that was not found, by its status."""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return `findings` with the worst on top, otherwise in the order given."""
    return sorted(findings, key=lambda finding: -finding.status.severity)


def finding_html(finding: Finding, rank: int | None = None) -> str:
    """Return one row: status, name, value on its scale, sentence, remedies, evidence.

    `rank` is its place among the causes. A cause that is ruled out or not known is shown without
    its status, as `OK Worker down` would read as the opposite.
    """
    if is_set_aside(finding):
        return set_aside_html([finding])
    evidence = rows_html(finding.rows) if finding.rows else ""
    return render("finding", **parts(finding, rank), evidence=evidence)


def parts(finding: Finding, rank: int | None = None) -> dict[str, Any]:
    """Return what every drawing of a finding shows, but for its evidence."""
    limit, value = finding.threshold, finding.value
    has_scale = value is not None and limit and limit.limits and math.isfinite(value)
    return {
        "finding": finding,
        "rank": rank,
        "colour": COLOURS[finding.status],
        "value": _optional(value, finding.unit),
        "scale": _scale(value, limit) if has_scale and value is not None and limit else None,
        "message": finding.message if finding.is_cause else named(finding),
        "share": share(finding),
        "remedies": [(remedy, _link(remedy)) for remedy in finding.remedies],
        "no_next": no_next(finding),
        "is_open": finding.status not in (Status.OK, Status.SKIPPED),
    }


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
    """Return `finding` as an output of a notebook: for programs, in HTML and as plain text."""
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
    """Whether this is a cause that is ruled out or not known."""
    return finding.is_cause and finding.status not in (Status.WARN, Status.CRIT)


def set_aside(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """Yield `Not known`, `Not checked` and `Ruled out` with their causes.

    Each cause comes with the reason: `worker down (3 workers connected)`.
    """
    for status, heading in _SET_ASIDE.items():
        causes = [
            f"{_inside_sentence(finding.title)} ({_inside_sentence(finding.message.rstrip('.'))})"
            for finding in findings
            if is_set_aside(finding) and finding.status is status
        ]
        if causes:
            yield heading, "; ".join(causes) + "."


def set_aside_text(findings: Sequence[Finding]) -> str:
    """Return the causes that are ruled out or not known as plain sentences."""
    return "\n".join(f"{heading}: {causes}" for heading, causes in set_aside(findings))


def set_aside_html(findings: Sequence[Finding]) -> str:
    """Return the causes that are ruled out or not known as a block of sentences."""
    return render("set_aside", groups=list(set_aside(findings)))


def named(finding: Finding) -> str:
    """Return the message of a finding; of a cause with its title, of a symptom with its cause."""
    if finding.explained_by:
        return f"{finding.message} Likely cause: see {finding.explained_by}."
    if not finding.is_cause:
        return finding.message
    if is_set_aside(finding):
        return set_aside_text([finding])
    return f"{finding.title}: {finding.message}"


def _inside_sentence(title: str) -> str:
    """Return a title for use inside a sentence: `worker down`, but `Redis down`."""
    first = title.partition(" ")[0]
    is_name = first in _NAMES or any(letter.isupper() or letter.isdigit() for letter in first[1:])
    return title if is_name else title[:1].lower() + title[1:]


def share(finding: Finding) -> str:
    """Return how much of the symptom a cause explains, in words; empty if that is unknown."""
    if not finding.is_cause or finding.share is None:
        return ""
    return f"Likely share of the symptom: {100 * finding.share:.0f} %."


def no_next(finding: Finding) -> str:
    """Return why nothing treats a finding, in words; empty if a runbook or its cause does."""
    return (
        f"Next: none, {finding.untreated}."
        if finding.untreated and not finding.explained_by
        else ""
    )


def heading_html(words: str) -> str:
    """Return a small heading above rows."""
    return render("heading", words=words)


def titled_html(title: str, body: str) -> str:
    """Return `body` (HTML) under a small heading."""
    return heading_html(title) + body


def headline_html(status: Status, words: str) -> str:
    """Return the line above the rows: the worst status and a summary."""
    return render("headline", status=status, colour=COLOURS[status], words=words)


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings have which status, the worst first: `1 crit, 10 ok`."""
    counted = {
        status: sum(finding.status is status for finding in findings)
        for status in sorted(Status, key=lambda status: -status.severity)
    }
    return ", ".join(f"{count} {status}" for status, count in counted.items() if count)


def findings_table_html(findings: Sequence[Finding]) -> str:
    """Return the findings' numbers as a table, the worst first."""
    return rows_html(_table_rows(findings))


def findings_table_text(findings: Sequence[Finding]) -> str:
    """Return the findings' numbers as an aligned plain table, the worst first."""
    return rows_text(_table_rows(findings))


def _link(remedy: Remedy) -> str:
    """Return the link to the runbook from any notebook, with its parameters."""
    target = {"target": remedy.target} if remedy.target else {}
    carried = "&".join(
        f"{quote(name, safe='')}={quote(as_option(value), safe='')}"
        for name, value in {**target, **remedy.parameters}.items()
    )
    return f"../{remedy.runbook}.ipynb#{carried}"


def _scale(value: float, threshold: Threshold) -> dict[str, Any]:
    """Return the values for drawing `value` on a scale with its limits."""
    high = _top(value, threshold)

    def at(number: float) -> float:
        return round(4 + (_SCALE_WIDTH - 8) * min(max(number, 0.0), high) / high, 1)

    return {
        "width": _SCALE_WIDTH,
        "at": at(value),
        "colour": COLOURS[threshold.judge(value)],
        "words": _scale_words(value, threshold),
        "marks": [
            {"at": at(limit), "colour": COLOURS[status], "status": status, "words": number(limit)}
            for status, limit in threshold.limits.items()
        ],
    }


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
