"""A symptom and its causes: one alarm, and no cause that is ruled out looks like an ok."""

from __future__ import annotations

import re
from typing import Any

from opsnb.checks.ranking import ranked, with_causes
from opsnb.model import FINDINGS_MIME, Finding, Status
from opsnb.view import findings as view


def found(name: str, status: Status, title: str = "", **more: Any) -> Finding:
    return Finding(name=name, title=title, status=status, message=f"As {name} says.", **more)


FINDINGS = [
    found("length", Status.CRIT, "Queue length"),
    found("paused", Status.OK, "Queue paused"),
    found("redis", Status.OK, "Redis down"),
    found("api", Status.UNKNOWN, "API itself slow"),
    found("heap", Status.SKIPPED, "V8 heap full"),
    found("slow", Status.CRIT, "Slow jobs", share=0.3),
    found("worker", Status.CRIT, "Worker down", share=0.9),
]


def test_the_symptom_names_its_likeliest_cause() -> None:
    diagnosis = ranked("length", FINDINGS)
    assert [each.name for each in diagnosis.causes] == ["worker", "slow"]
    assert diagnosis.symptom.explained_by == "worker"
    assert diagnosis.symptom.cause_of is None
    assert {each.cause_of for each in diagnosis.findings[1:]} == {"length"}
    assert all(each.is_cause for each in diagnosis.findings[1:])
    assert diagnosis.words == "Most likely: Worker down (1 more below)."


def test_a_symptom_that_is_well_has_no_cause() -> None:
    diagnosis = ranked("length", [found("length", Status.OK), FINDINGS[-1]])
    assert diagnosis.symptom.explained_by is None


def test_causes_that_were_not_found_stand_in_sentences_without_a_status() -> None:
    diagnosis = ranked("length", FINDINGS)
    aside = [*diagnosis.unmeasured, *diagnosis.ruled_out]
    text = view.set_aside_text(aside)
    assert text.splitlines() == [
        "Not known: API itself slow (as api says).",
        "Not checked: V8 heap full (as heap says).",
        "Ruled out: queue paused (as paused says); Redis down (as redis says).",
    ]
    html = view.set_aside_html(aside)
    for shown in (text, html, *map(view.finding_html, aside), *map(view.finding_text, aside)):
        assert not re.search(r"\b(OK|UNKNOWN|SKIPPED)\b", shown)
    assert len(view.set_aside_data(aside)[FINDINGS_MIME]) == 4


def test_a_cause_shows_its_share_and_what_treats_it() -> None:
    cause = found("worker", Status.CRIT, "Worker down", share=0.9, is_cause=True)
    text = view.finding_text(cause)
    assert "Worker down: As worker says." in text
    assert "Likely share of the symptom: 90 %." in text
    unsaid = cause.model_copy(update={"untreated": "start it by hand"})
    assert "Next: none, start it by hand." in view.finding_text(unsaid)


def test_what_is_measured_again_keeps_its_relation() -> None:
    causes = ranked("length", FINDINGS).findings
    again = with_causes("length", [causes[2], causes[0], found("other", Status.OK)])
    assert [each.name for each in again] == ["length", "slow", "other"]
    assert again[0].explained_by == "slow"
