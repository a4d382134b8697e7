"""What a check declares of itself: what it measures, and what treats what it finds."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from opsnb import catalog
from opsnb.checks.causes import ruled_out
from opsnb.checks.check import Check, check, treated_by, treated_rows
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.config.thresholds import handbook
from opsnb.handbook.incidents.high_error_rate import window
from opsnb.handbook.troubleshooting import failed_jobs
from opsnb.model import Finding, Status, Threshold

HERE = Target(name="here")
GUARDED = Target(name="prod", protected=True)
LONG = Threshold(
    metric="x",
    label="X",
    unit="jobs",
    warn=1,
    action="Look for more",
    runbook="troubleshooting/high_queue_length",
)


@check(treated_by=treated_by("queues/resume", "resumes it", apply=True, queue="{queue}"))
def paused(target: Target, queue: str, seconds: float = 1) -> Finding:
    """Queue paused"""
    return Finding(status=Status.CRIT, message=f"{queue} is paused.")


@check()
def long(target: Target) -> Finding:
    """Queue length"""
    return Finding.measured(5, LONG, "5 jobs wait.")


@check(treated_by=treated_rows("queues/resume", "resumes it", queue="name"))
def several(target: Target) -> Finding:
    """Paused queues"""
    rows: list[dict[str, Any]] = [{"name": name} for name in ("a", "b")]
    return Finding(status=Status.WARN, message="2 are paused.", rows=rows)


@check(treated_by="people do that")
def untreated(target: Target) -> Finding:
    """Review"""
    return Finding(status=Status.WARN, message="Nobody has reviewed it.")


def test_a_finding_says_which_object_was_measured_and_not_how_long() -> None:
    once, longer = paused(HERE, "emails"), paused(HERE, "emails", seconds=9)
    assert once.arguments == {"queue": "emails"}
    assert once.key == longer.key
    assert once.key != paused(HERE, "exports").key
    given = Measurement(HERE).run([paused.given("emails", 3)])[0]
    assert given.key == once.key
    assert paused.given("emails").given().arguments == {"queue": "emails"}
    read = failed_jobs.rate.given(failed_jobs.Failed("emails"))
    assert read.arguments == {"queue": "emails"}
    read_window = window.Window(2)
    assert read_window.arguments == {"hours": 2}


def test_its_remedies_are_filled_in_and_name_the_target() -> None:
    (remedy,) = paused(GUARDED, "e mails").remedies
    words = shlex.split(remedy.command)
    assert words[:5] == ["opsnb", "run", "queues/resume", "-t", "prod"]
    assert words[5:] == ["-p", "queue=e mails", "--apply", "--confirm", "prod"]
    assert [each.parameters for each in several(HERE).remedies] == [{"queue": "a"}, {"queue": "b"}]
    (other,) = long(HERE).remedies  # as its limit says
    assert (other.runbook, other.why) == ("troubleshooting/high_queue_length", "look for more")
    assert untreated(HERE).remedies == []
    assert untreated(HERE).untreated == "people do that"


def checks_of(info: catalog.RunbookInfo) -> Iterator[Check[...]]:
    """Yield each check that a cell of a runbook names, by what its imports bind."""
    cells = nbformat.read(info.path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for line in re.findall(r"^from opsnb\.(?:handbook|systems)[\w.]* import .*$", text, re.M):
        bound: dict[str, Any] = {}
        exec(line, bound)
        for module, name in re.findall(r"\b(\w+)\.(\w+)", text):
            value = getattr(bound.get(module), name, None)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, Check):
                    yield each


ALL = {(info.id, each.name): each for info in catalog.runbooks() for each in checks_of(info)}
# Whose findings carry remedies of their own, which the faults of their tests show.
OWN = frozenset(
    [
        "backlog",
        "comparison",
        "degradation",
        "deploying",
        "errors",
        "failures",
        "memory",
        "misses",
        "outage",
        "readiness",
        "releases",
        "repair",
        "slowness",
    ]
)


def test_the_runbooks_name_many_checks() -> None:
    assert len(ALL) > 150
    assert ("health/daily", "processes.up") in ALL


@pytest.mark.parametrize(("runbook", "name"), sorted(ALL), ids=str)
def test_a_check_that_can_alarm_names_what_treats_it_or_why_nothing_does(
    runbook: str, name: str
) -> None:
    each = ALL[runbook, name]
    source = inspect.getsource(each.function)
    if each.treated_by:
        return
    if name.partition(".")[0] in OWN:
        alarms = re.search(r"Status\.(?:CRIT|WARN)|\blikely\(", source)
        treats = r"(?i)remed|_(?:judge|dependency|restart|more_workers|create)\(|\bCLEAR\b"
        assert not alarms or re.search(treats, source)
        return
    # Else a limit judges it, which names a runbook.
    assert "Status.CRIT" not in source
    assert "Status.WARN" not in source or "Finding.measured" in source


def test_every_limit_names_its_runbook() -> None:
    known = {info.id for info in catalog.runbooks()}
    assert {limit.runbook for limit in handbook().values()} <= known


def test_what_treats_a_check_is_a_runbook_that_takes_those_parameters() -> None:
    rows = [{"queue": "q", "waiting": 9999, "failed_percent": 99.0, "session": 7, "name": "q"}]
    rows[0] |= {"application": "api", "idle": 5, "idle_in_transaction": 0, "paused": False}
    arguments = {"queue": "q", "longer_than_min": 30.0}
    found = Finding(status=Status.CRIT, message="x", rows=rows, arguments=arguments)
    for each in ALL.values():
        if callable(each.treated_by):
            for remedy in each.treated_by(HERE, found):
                parameters = {
                    parameter.name for parameter in catalog.runbook(remedy.runbook).parameters
                }
                assert set(remedy.parameters) <= parameters, each.name
                catalog.runbook(remedy.runbook).validate({"target": "here", **remedy.parameters})


def test_a_check_becomes_a_cause_with_its_share_its_evidence_and_its_remedy() -> None:
    @check(condition="x.measured")
    def full(target: Target) -> Finding:
        """Fill level"""
        rows = [{"disk": "/"}]
        return Finding(status=Status.CRIT, message="Full.", rows=rows)

    treats = treated_by("maintenance/weekly", "shows what can be removed")
    cause = full.as_cause("Disk full", 0.6, treats, name="slowness.full")
    finding = cause(HERE)
    assert (finding.name, finding.title, finding.is_cause) == ("slowness.full", "Disk full", True)
    assert (finding.share, finding.condition) == (0.6, "x.measured")
    assert finding.rows == [{"disk": "/"}]
    assert [remedy.runbook for remedy in finding.remedies] == ["maintenance/weekly"]


def test_a_cause_that_is_ruled_out_explains_nothing() -> None:
    @check()
    def calm(target: Target) -> Finding:
        """Fill level"""
        return ruled_out("Enough room.")

    finding = calm.as_cause("Disk full", 0.6)(HERE)
    assert (finding.status, finding.share, finding.remedies) == (Status.OK, None, [])
