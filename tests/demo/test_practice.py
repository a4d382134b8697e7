"""A drill: it breaks something, tells only the symptom, and knows when all is well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from opsnb.config.file import load_config, load_target
from opsnb.config.places import demo_home
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.demo.faults import ANY, all_drills, drill
from opsnb.demo.faults.known import possible
from opsnb.demo.practice import practise
from opsnb.errors import DemoError, Locked, UsageError
from opsnb.model import RunResult, Status
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from opsnb.systems import processes, queues
from tests.operate.database import wait_for
from tests.runs import run_once

DRILLS = all_drills()
PAUSED = DRILLS["queue-paused"]
BRIEF = replace(PAUSED, parameters={**PAUSED.parameters, "seconds": "1s"})
"""The same, whose looks are shorter: how fast jobs come and go says nothing of a pause."""


@contextmanager
def under_way(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Begin a drill as an engineer would, and wait until the symptom is told."""
    command = [sys.executable, "-m", "opsnb", "drill", PAUSED.name, "--json", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        try:
            assert PAUSED.symptom in process.stderr.readline()
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> RunResult:
    told, _ = process.communicate(timeout=120)
    return RunResult.model_validate_json(told)


def test_only_the_symptom_is_told_and_the_way_back_is_timed(demo: Target) -> None:
    with under_way() as process:
        assert faults.active() == [PAUSED.name]
        run_once(demo, "queues/resume", {"queue": "ai-analysis", "apply": "true"})
        result = ended(process)
    assert process.returncode == 0
    outcome, *others = result.findings
    assert (outcome.name, outcome.status, others) == ("drill.outcome", Status.OK, [])
    assert outcome.message.startswith("Fixed in ")
    assert outcome.value == pytest.approx(outcome.seconds, abs=0.1)
    assert 0 < outcome.seconds <= result.seconds
    assert "Someone paused ai-analysis" in outcome.message
    assert [(row["runbook"], row["applied"]) for row in outcome.rows] == [
        ("queues/resume", "queues.resume")
    ]
    assert faults.active() == []
    kept = Store(load_config().store).result(result.run_id)
    assert (kept.runbook, kept.findings) == (PAUSED.id, result.findings)


def test_who_gives_up_has_the_fault_taken_back(demo: Target) -> None:
    with under_way("--hint") as process:
        assert process.stderr is not None
        assert "An alert would name" in process.stderr.readline()
        assert PAUSED.command in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        result = ended(process)
    assert process.returncode == 130
    outcome, *wrong = result.findings
    assert outcome.status is Status.CRIT
    assert result.error is not None
    assert "Given up after" in result.error
    assert faults.active() == []
    assert queues.pauses(demo).status is Status.OK
    assert {finding.status for finding in wrong} <= {Status.WARN, Status.CRIT, Status.UNKNOWN}


def test_a_drill_that_takes_too_long_ends(demo: Target) -> None:
    result = practise(BRIEF, load_config(), limit_s=1)
    assert result.exit_code == 124
    assert "backlog.paused" in [finding.name for finding in result.findings]
    assert faults.active() == []
    assert queues.pauses(demo).status is Status.OK


def test_a_drill_that_is_killed_says_how_the_fault_is_taken_back(demo: Target) -> None:
    with under_way() as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    store = Store(load_config().store)
    wait_for(lambda: bool(reap(store)))  # its kernels end a moment later
    killed = store.result("latest")
    assert killed.runbook == PAUSED.id
    assert "opsnb demo fault queue-paused --clear" in str(killed.error)
    assert faults.active() == [PAUSED.name]
    with pytest.raises(Locked, match="Another fault is already active"):
        practise(BRIEF, load_config())


def test_a_stack_that_is_not_well_is_no_place_for_that_drill(demo: Target) -> None:
    run_once(demo, "queues/pause", {"queue": "ai-analysis", "apply": "true"})
    try:
        with pytest.raises(
            DemoError, match=r"not healthy before the drill: Queue ai-analysis is paused"
        ):
            practise(BRIEF, load_config())
    finally:
        run_once(demo, "queues/resume", {"queue": "ai-analysis", "apply": "true"})
    assert faults.active() == []


def test_what_was_wrong_before_is_not_asked_for(
    demo: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = demo_home().joinpath("opsnb.toml").read_text()
    config = tmp_path / "opsnb.toml"
    config.write_text(plain.replace('["app", "worker"]', '["app", "worker", "mailer"]'))
    monkeypatch.setenv("OPSNB_CONFIG", str(config))
    assert processes.up(load_target("demo")).status is Status.CRIT

    def mend(told: str) -> None:
        if PAUSED.symptom in told:
            run_once(demo, "queues/resume", {"queue": "ai-analysis", "apply": "true"})

    assert practise(BRIEF, load_config(), say=mend).exit_code == 0


def test_a_drill_is_known_by_name() -> None:
    assert drill("cold-cache").command == "opsnb run troubleshooting/high_cache_miss_rate -t demo"
    with pytest.raises(UsageError, match="Did you mean 'cold-cache'"):
        drill("cold-cash")


def test_chance_chooses_among_the_drills_that_this_demo_can_have(
    demo: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {drill(ANY).name for _ in range(20)} <= set(DRILLS)
    monkeypatch.setenv("PATH", "")  # so that nothing can be mounted
    left = possible(DRILLS.values())
    assert [each.name for each in DRILLS.values() if each not in left] == ["full-disk"]


@pytest.mark.parametrize("begin", [lambda: practise(BRIEF, load_config()), lambda: drill(ANY)])
def test_without_a_stack_it_says_how_to_get_one(begin: Callable[[], object]) -> None:
    with pytest.raises(DemoError, match="opsnb demo up"):
        begin()


def test_they_are_listed() -> None:
    command = [sys.executable, "-m", "opsnb", "drill", "list", "--json"]
    told = json.loads(subprocess.check_output(command, text=True))
    assert [each["name"] for each in told] == list(DRILLS)
    assert all(each["symptom"] for each in told)


def test_a_stack_that_is_gone_is_told_by_the_record(
    demo: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str) -> None:
        clear(name)
        raise DemoError("The demo stack is not up. Start it: opsnb demo up")

    clear = faults.clear
    monkeypatch.setattr(faults, "clear", gone)
    result = practise(BRIEF, load_config(), limit_s=1)
    assert result.exit_code == 70
    assert str(result.error).endswith("Start it: opsnb demo up")
    assert Store(load_config().store).result(result.run_id).error == result.error
