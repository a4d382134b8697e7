"""Findings and journals as people see them: complete, escaped, readable without colour."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest

from opsnb.model import ActionRecord, ActionState, Finding, Status, Threshold
from opsnb.view import findings as view
from opsnb.view.plans import action_html, action_text
from opsnb.view.tables import rows_html, rows_text

DISK = Threshold(metric="d", label="Disk", unit="%", warn=80, crit=90)
HOSTILE = "<img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.seen.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, _: object) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_status_is_a_word_the_value_has_its_scale_and_evidence_is_open_when_it_matters() -> (
    None
):
    rows = [{"mount": "/", "used_percent": 93.0}]
    html = view.finding_html(Finding.measured(93, DISK, "/ is nearly full.", rows=rows))
    assert ">CRIT<" in html
    assert 'aria-label="93 %, warn at 80, crit at 90"' in html
    assert "<details open" in html
    calm = view.finding_html(Finding.measured(10, DISK, "/ is fine.", rows=rows))
    assert "<details open" not in calm


@pytest.mark.parametrize("value", [math.nan, math.inf, -5.0, 0.0, 1e12])
def test_no_value_keeps_a_finding_from_being_shown(value: float) -> None:
    finding = Finding.measured(value, DISK, "Odd.")
    assert Tags(view.finding_html(finding)).open == []
    assert "Odd." in view.finding_text(finding)


def test_what_systems_say_is_text_never_markup() -> None:
    finding = Finding(
        name=HOSTILE, title=HOSTILE, status=Status.CRIT, message=HOSTILE, rows=[{HOSTILE: HOSTILE}]
    )
    record = ActionRecord(
        id="1",
        name=HOSTILE,
        title=HOSTILE,
        target=HOSTILE,
        summary=HOSTILE,
        command=HOSTILE,
        undo=HOSTILE,
        warning=HOSTILE,
        error=HOSTILE,
        planned=1,
        sample=[{HOSTILE: HOSTILE}],
    )
    for html in (
        view.finding_html(finding),
        action_html(record),
        view.findings_table_html([finding]),
        view.headline_html(Status.CRIT, HOSTILE),
        view.titled_html(HOSTILE, ""),
    ):
        tags = Tags(html)
        assert "img" not in tags.seen
        assert tags.open == []


def test_long_evidence_is_cut_and_says_so() -> None:
    rows = [{"n": number} for number in range(50)]
    assert "and 30 more" in rows_html(rows)
    assert "and 30 more" in rows_text(rows)


def test_the_worst_stands_first_and_is_counted_first() -> None:
    found = [
        Finding(name=status, status=status, message="")
        for status in (Status.OK, Status.SKIPPED, Status.CRIT, Status.WARN, Status.UNKNOWN)
    ]
    order = [finding.name for finding in view.worst_first(found)]
    assert order == ["crit", "unknown", "warn", "ok", "skipped"]
    assert view.summary(found) == "1 crit, 1 unknown, 1 warn, 1 ok, 1 skipped"


def test_a_journal_says_how_far_it_came_and_what_undoes_it() -> None:
    record = ActionRecord(
        id="1",
        name="queues.clean_failed",
        title="Clean failed jobs",
        target="demo",
        state=ActionState.INTERRUPTED,
        summary="Remove 9 jobs.",
        planned=9,
        applied=4,
        unit="jobs",
        error="Interrupted. 4 of 9 jobs done; run it again to finish the rest.",
        bytes=2048,
    )
    for form in (action_html(record), action_text(record)):
        assert "4 of 9 jobs" in form
        assert "none" in form
    assert "2.0 KiB" in action_html(record)
