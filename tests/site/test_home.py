"""The home page shows each target as it was measured last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from opsnb.model import ActionRecord, ActionState, Finding, Remedy, RunResult, Status, status_of
from opsnb.site.entries import Entry, present
from opsnb.site.pages.status import home

BEGAN = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
RESUME = Remedy(runbook="queues/resume", parameters={"queue": "emails"}, target="demo")


def finding(name: str, status: Status, minute: float, **more: Any) -> Finding:
    at = BEGAN + timedelta(minutes=minute)
    return Finding(name=name, status=status, message=f"{name} is {status}.", started=at, **more)


def ran(minute: float, runbook: str, *findings: Finding, acted: bool = False, **more: Any) -> Entry:
    at = BEGAN + timedelta(minutes=minute)
    status = status_of(findings)
    done = ActionRecord(
        id="a",
        name="queues.resume",
        title="Resume",
        target="demo",
        state=ActionState.APPLIED,
        verified=True,
    )
    result = RunResult(
        run_id=f"{at:%Y%m%dT%H%M%SZ}-{runbook.replace('/', '.')}-demo-0000",
        runbook=runbook,
        title=runbook,
        runbook_sha256="5f" * 32,
        target="demo",
        operator="ada",
        host="ops1",
        status=status,
        exit_code=status.exit_code,
        findings=list(findings),
        actions=[done] if acted else [],
        started=at,
        finished=at,
        seconds=1,
        opsnb_version="0",
        **{"parameters": {}, **more},
    )
    return Entry.of(result)


def statuses(*entries: Entry) -> dict[str, Status]:
    """Return what `present` says of each runbook; `entries` are given the oldest first."""
    return {each.runbook: each.status for each in present(reversed(entries))}


DAILY = ran(0, "health/daily", finding("a.one", Status.CRIT, 0), finding("a.two", Status.OK, 0))


def test_what_another_runbook_measured_again_counts_as_it_was_measured_last() -> None:
    again = ran(5, "incidents/fix", finding("a.one", Status.OK, 5))
    assert statuses(DAILY, again) == {"health/daily": Status.OK, "incidents/fix": Status.OK}
    html = home([again, DAILY], ["demo"])
    assert "Fixed, as measured by" in html
    assert "status-crit" not in html
    assert ">crit<" not in html.lower()


def test_nothing_else_hides_a_crit() -> None:
    for later in (
        ran(5, "incidents/fix", finding("a.two", Status.OK, 5)),  # another check
        ran(5, "incidents/fix", finding("a.one", Status.OK, 5, arguments={"queue": "x"})),
        ran(5, "incidents/fix", finding("a.one", Status.UNKNOWN, 5)),
        ran(5, "incidents/fix", finding("a.one", Status.OK, -5)),  # measured before
    ):
        assert statuses(DAILY, later)["health/daily"] is Status.CRIT
    # It was well in between, and is not any more.
    well, ill = (
        ran(5, "incidents/fix", finding("a.one", Status.OK, 5)),
        ran(9, "monitoring/one", finding("a.one", Status.CRIT, 9)),
    )
    assert statuses(DAILY, well, ill)["health/daily"] is Status.CRIT
    own = ran(0, "health/daily", finding("a.one", Status.CRIT, 0), finding("a.one", Status.OK, 1))
    assert statuses(own)["health/daily"] is Status.CRIT


def test_what_is_left_of_several_is_shown() -> None:
    both = ran(
        0, "health/daily", finding("a.one", Status.CRIT, 0), finding("a.two", Status.WARN, 0)
    )
    again = ran(5, "incidents/fix", finding("a.one", Status.OK, 5))
    (shown,) = (each for each in present([again, both]) if each.runbook == "health/daily")
    assert (shown.status, shown.sentence) == (Status.WARN, "a.two is warn.")


def test_what_was_treated_and_not_measured_again_is_not_known() -> None:
    paused = ran(0, "queues/monitor", finding("q.pauses", Status.CRIT, 0, remedies=[RESUME]))
    resumed = ran(5, "queues/resume", acted=True, parameters={"queue": "emails"})
    assert resumed.acted is False  # no check of it ran
    ok = finding("q.state", Status.OK, 5)
    resumed = ran(5, "queues/resume", ok, acted=True, parameters={"queue": "emails"})
    assert statuses(paused, resumed)["queues/monitor"] is Status.UNKNOWN
    html = home([resumed, paused], ["demo"])
    assert "not measured again" in html
    assert "opsnb run queues/monitor -t demo" in html
    for other in (
        ran(5, "queues/resume", ok, acted=True, parameters={"queue": "exports"}),
        ran(5, "queues/resume", ok, parameters={"queue": "emails"}),  # a dry run
        ran(-5, "queues/resume", ok, acted=True, parameters={"queue": "emails"}),
    ):
        assert statuses(paused, other)["queues/monitor"] is Status.CRIT


def test_a_run_in_which_no_check_ran_stays_as_it_is() -> None:
    (shown,) = present([ran(0, "own/cell")])
    assert (shown.runbook, shown.status) == ("own/cell", Status.UNKNOWN)
