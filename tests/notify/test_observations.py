"""What of a run's findings is an alarm of its own."""

from __future__ import annotations

from typing import Any

import pytest

from opsnb.config.systems import thresholds
from opsnb.config.unattended import Notify
from opsnb.model import Finding, Remedy, RunResult, Status, now
from opsnb.notify.memory import Memory
from opsnb.notify.observations import Observation, Observed, of_run
from opsnb.records.store import Store


def observed(*findings: Finding, **more: Any) -> dict[str, Observation]:
    return {each.name: each for each in observed_run(*findings, **more).observations}


def observed_run(*findings: Finding, **more: Any) -> Observed:
    at = now()
    given = {
        "run_id": "20261128T030000Z-x.y-shop-0001",
        "runbook": "queues/monitor",
        "runbook_sha256": "",
        "target": "shop",
        "operator": "ops",
        "host": "here",
        "parameters": {},
        "status": Status.CRIT,
        "exit_code": 2,
        "started": at,
        "finished": at,
        "seconds": 0,
        "opsnb_version": "0",
        "findings": list(findings),
        **more,
    }
    result = RunResult.model_validate(given)
    return of_run(result, "s", Store("/nowhere"))


def finding(name: str, status: Status = Status.CRIT, **more: Any) -> Finding:
    return Finding(name=name, title=name, status=status, message=f"{name} is so.", **more)


def test_a_cause_is_one_alarm_with_its_symptom() -> None:
    remedy = Remedy(runbook="incidents/service_down", target="shop")
    found = observed(
        finding("queues.depth", explained_by="worker"),
        finding("worker", cause_of="queues.depth", is_cause=True, remedies=[remedy]),
        finding("slow", Status.WARN, cause_of="queues.depth", is_cause=True),
        finding("queues.other", Status.SKIPPED, caused_by="queues.depth"),
    )
    assert [name for name, each in found.items() if each.status is Status.CRIT] == ["queues.depth"]
    assert found.keys() == {"queues.depth", "queues.other", "run"}
    assert found["queues.depth"].message == "queues.depth is so. Most likely: worker: worker is so."
    assert found["queues.depth"].command.endswith("run incidents/service_down -t shop")


def test_a_check_that_explains_another_is_one_alarm_with_it() -> None:
    found = observed(
        finding("api.health", explained_by="processes.up"),
        finding("processes.up"),
        finding("host.disk"),
    )
    bad = {name for name, each in found.items() if each.status is Status.CRIT}
    assert bad == {"api.health", "host.disk"}
    assert "Most likely: processes.up is so." in found["api.health"].message


def test_each_object_is_an_alarm_of_its_own() -> None:
    found = observed(
        finding("queues.depth", arguments={"queue": "a"}),
        finding("queues.depth", Status.OK, arguments={"queue": "b"}),
    )
    assert [each.status for each in found.values()] == [Status.CRIT, Status.OK, Status.OK]


def test_an_alarm_names_the_page_of_its_threshold_or_else_of_the_symptom() -> None:
    limit = thresholds()["disk_used_percent"]
    treated = [Remedy(runbook="incidents/service_down", target="shop")]
    found = observed(
        finding("system.disk", threshold=limit, remedies=treated),
        finding("api.health", remedies=treated),
        finding("api.other", remedies=[Remedy(runbook="gone/runbook", target="shop")]),
        finding("api.latency"),
    )
    assert {name: alarm.about for name, alarm in found.items() if name != "run"} == {
        "system.disk": "alerts/disk_used_percent.html",
        "api.health": "symptoms/no-response.html",
        "api.other": "",
        "api.latency": "",
    }


def test_what_was_fixed_in_the_run_is_none() -> None:
    found = observed(finding("cache.size", superseded=True), finding("cache.size", Status.OK))
    assert found["cache.size"].status is Status.OK


def test_what_the_target_does_not_have_is_none() -> None:
    absent = finding("database.ping", Status.UNKNOWN, failure="NotConfigured")
    found = observed(absent, finding("cache.ping", Status.OK))
    assert found.keys() == {"cache.ping", "run"}
    assert not any(each.is_bad for each in found.values())


@pytest.mark.parametrize(
    ("others", "unconfigured"),
    [
        ([], {("shop", "cache.ping")}),
        # Nothing is known of an object of the same check that was measured elsewhere.
        ([finding("cache.ping", arguments={"node": "b"})], set()),
    ],
)
def test_a_check_of_a_system_that_the_target_does_not_have_is_known(
    others: list[Finding], unconfigured: set[tuple[str, str]]
) -> None:
    absent = finding("cache.ping", Status.UNKNOWN, failure="NotConfigured")
    assert observed_run(absent, *others).unconfigured == unconfigured


def test_a_run_that_measured_nothing_is_one() -> None:
    found = observed(finding("database.ping", Status.UNKNOWN, failure="NotConfigured"))
    assert found["run"].status is Status.UNKNOWN
    assert found["run"].message == "Nothing was measured. database.ping is so."
    # Where something could not be asked, that is the alarm, and the run is none besides.
    found = observed(finding("cache.ping", Status.UNKNOWN, failure="Misconfigured"))
    assert [name for name, each in found.items() if each.is_bad] == ["cache.ping"]


def test_a_run_that_broke_is_one_and_one_that_was_interrupted_is_none() -> None:
    found = observed(error="It timed out.", exit_code=124)
    assert (found["run"].status, found["run"].message) == (Status.UNKNOWN, "It timed out.")
    assert observed(error="You interrupted the run.", exit_code=130) == {}
    assert observed(error="Target shop is locked.", exit_code=75) == {}


@pytest.mark.parametrize(
    ("later", "recovered"),
    [
        ([finding("cache.ping", cause_of="api"), finding("api")], False),
        ([finding("cache.ping", Status.OK, cause_of="api"), finding("api")], True),
        ([finding("cache.ping", Status.UNKNOWN, failure="NotConfigured")], False),
        ([finding("cache.ping", Status.UNKNOWN)], False),
        ([finding("cache.ping", Status.SKIPPED, caused_by="api"), finding("api")], False),
        ([finding("cache.ping", arguments={"node": "b"})], True),
        ([finding("api")], True),
    ],
)
def test_what_is_reported_in_another_way_has_not_recovered(
    later: list[Finding], recovered: bool
) -> None:
    memory, hook = Memory({}), Notify(name="hook", url="json://127.0.0.1")
    first = finding("cache.ping", arguments={"node": "a"} if later[0].cause_of is None else {})
    memory.events(hook, observed_run(first), now())
    events = memory.events(hook, observed_run(*later), now())
    assert ("recovery" in [event.kind for event in events]) is recovered
