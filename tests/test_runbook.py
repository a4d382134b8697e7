"""A session: causes and their symptom, gaps said once, and the recheck after an action."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb import Runbook
from opsnb.actions.action import Permit, Plan, action
from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.errors import Unreachable
from opsnb.model import ActionRecord, Finding, Status

GAP = "what other roles run, which this login may not see; " * 3
STATE = {"paused": True, "up": True}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "opsnb.toml"
    path.write_text('[targets.here]\nredis_url = "redis://127.0.0.1:1/0"\n')
    monkeypatch.setenv("OPSNB_CONFIG", str(path))
    STATE.update(paused=True, up=True)


def session(*, apply: bool) -> Runbook:
    return Runbook("here", apply=apply)


@check()
def length(target: Target) -> Finding:
    """Queue length"""
    bad = STATE["paused"]
    return Finding(status=Status.CRIT if bad else Status.OK, message="600 jobs wait.")


@check(is_cause=True)
def paused(target: Target, queue: str) -> Finding:
    """Queue paused"""
    bad = STATE["paused"]
    return Finding(status=Status.CRIT if bad else Status.OK, message=f"{queue} is as it is.")


@check(is_cause=True)
def calm(target: Target) -> Finding:
    """Worker down"""
    return Finding(status=Status.OK, message="3 workers are connected.")


@check(needs=("redis",))
def keys(target: Target) -> Finding:
    """Keys"""
    if STATE["up"]:
        return Finding(status=Status.OK, message="7 keys.")
    raise Unreachable("redis", "Redis refuses connections.")


@check()
def first(target: Target) -> Finding:
    """First"""
    evidence.partial(GAP)
    return Finding(status=Status.OK, message="As far as seen.")


@check()
def second(target: Target) -> Finding:
    """Second"""
    evidence.partial(GAP)
    return Finding(status=Status.OK, message="As far as seen, too.")


@action()
def repair(target: Target, former: ActionRecord | None) -> Plan:
    """Repair"""

    def work(permit: Permit) -> Iterator[int]:
        STATE.update(paused=False, up=True)
        yield 1

    return Plan(
        summary="Repair it.",
        planned=1,
        unit="things",
        command="true",
        undo="",
        work=work,
        verify=lambda: [Finding(status=Status.OK, message="Repaired.")],
    )


def test_a_diagnosis_reads_as_one_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    session(apply=False).diagnose(length, calm, paused.given("emails"))
    text = capsys.readouterr().out
    assert "Most likely: Queue paused." in text
    assert "Likely cause: see test_runbook.paused." in text
    assert "Ruled out: worker down (3 workers are connected)." in text
    assert "OK" not in text


def test_after_an_action_what_was_not_ok_is_measured_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rb = session(apply=True)
    rb.diagnose(length, calm, paused.given("emails"))
    assert rb.recheck() == []  # nothing was done yet
    rb.act(repair)
    capsys.readouterr()
    again = rb.recheck()
    assert {each.name: each.status for each in again} == {
        "test_runbook.length": Status.OK,
        "test_runbook.paused": Status.OK,
    }
    assert again["test_runbook.paused"].arguments == {"queue": "emails"}
    assert again["test_runbook.paused"].cause_of == "test_runbook.length"
    assert "Measured again after the action" in capsys.readouterr().out
    assert rb.recheck() == []


def test_a_dry_run_measures_nothing_again() -> None:
    rb = session(apply=False)
    rb.diagnose(length, paused.given("emails"))
    rb.act(repair)
    assert rb.recheck() == []


def test_a_system_that_was_down_responds_again() -> None:
    STATE["up"] = False
    rb = session(apply=True)
    assert rb.check(keys).status is Status.SKIPPED
    rb.act(repair)
    again = rb.recheck()
    assert {each.name: each.status for each in again} == {
        "test_runbook.keys": Status.OK,
        "redis.reachable": Status.OK,
    }


def test_a_long_gap_is_said_once() -> None:
    found = session(apply=False).check_all(first, second)
    assert [each.status for each in found] == [Status.UNKNOWN, Status.UNKNOWN]
    assert GAP.rstrip("; ") in found[0].message
    assert found[1].message == "As far as seen, too. Not seen: as in test_runbook.first."
    assert found[1].evidence.gaps == [GAP]


def test_what_was_read_before_an_action_is_read_again() -> None:
    reading = Reading(lambda _: STATE["paused"])
    rb = session(apply=True)
    assert reading.of(rb.target) is True
    STATE["paused"] = False
    assert reading.of(rb.target) is True
    rb.act(repair)
    assert reading.of(rb.target) is False
