"""One cause, one alarm; a hang costs its time limit; a check that could not run is unknown."""

from __future__ import annotations

import threading

import pytest

from opsnb.checks.check import check
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured, TimedOut, Unreachable
from opsnb.model import Finding, Status, Threshold

TARGET = Target(name="here")
LIMIT = Threshold(metric="m", label="m", unit="jobs", warn=10, crit=20)


@check(probes="redis")
def probe_down(target: Target) -> Finding:
    """Redis answers"""
    raise Unreachable("redis", "Redis cannot be reached: Connection refused.")


@check(probes="redis")
def probe_up(target: Target) -> Finding:
    """Redis answers"""
    return Finding(status=Status.OK, message="PONG")


@check(needs=("redis",))
def dependent(target: Target) -> Finding:
    """Memory"""
    raise Unreachable("redis", "Redis cannot be reached: Connection refused.")


@check(needs=("redis",))
def dependent_by_hearsay(target: Target) -> Finding:
    """Queue stats"""
    return Finding(status=Status.CRIT, message="The API answered 503.")


@check()
def independent(target: Target, value: float = 5) -> Finding:
    """Something else"""
    return Finding.measured(value, LIMIT, f"{value} jobs wait.")


@check()
def mistaken(target: Target) -> Finding:
    """Has a bug"""
    return Finding.measured(1 / 0, LIMIT, "")


@check(limit_s=0.2)
def hanging(target: Target) -> Finding:
    """Hangs"""
    threading.Event().wait(30)
    raise AssertionError("never reached")


@check(probes="nfs", limit_s=0.2)
def hanging_probe(target: Target) -> Finding:
    """Hangs"""
    threading.Event().wait(30)
    raise AssertionError("never reached")


@check()
def garbled(target: Target) -> Finding:
    """Answers nonsense"""
    raise BadAnswer("api", "The API answered no JSON.")


@check()
def slow_system(target: Target) -> Finding:
    """Too slow to tell"""
    raise TimedOut("database", "PostgreSQL did not respond within 3 s.")


@check(needs=("database",))
def unconfigured(target: Target) -> Finding:
    """Not there"""
    raise NotConfigured("database", "Target here names no database.")


def statuses(*checks: object) -> dict[str, Status]:
    found = Measurement(TARGET).run(checks)  # type: ignore[arg-type]
    return {finding.name.partition(".")[2]: finding.status for finding in found}


def test_what_depends_on_a_system_that_is_down_is_skipped_and_says_why() -> None:
    found = Measurement(TARGET).run([dependent, dependent_by_hearsay, independent, probe_down])
    by_name = {finding.name.partition(".")[2]: finding for finding in found}
    assert by_name["probe_down"].status is Status.CRIT
    assert by_name["independent"].status is Status.OK
    for name in ("dependent", "dependent_by_hearsay"):
        assert by_name[name].status is Status.SKIPPED
        assert by_name[name].caused_by == "test_running.probe_down"
        assert "Redis does not respond" in by_name[name].message


def test_a_dependent_failure_counts_when_its_system_is_up() -> None:
    assert statuses(probe_up, dependent_by_hearsay)["dependent_by_hearsay"] is Status.CRIT


def test_a_cause_that_no_check_probes_is_reported_once() -> None:
    found = Measurement(TARGET).run([dependent, dependent])
    assert found[0].name == "redis.reachable"
    assert [finding.status for finding in found] == [Status.CRIT, Status.SKIPPED, Status.SKIPPED]


def test_what_is_down_is_remembered_until_it_is_probed_again() -> None:
    measurement = Measurement(TARGET)
    measurement.run([probe_down])
    assert measurement.run([dependent_by_hearsay])[0].status is Status.SKIPPED
    measurement.run([probe_up])
    assert measurement.run([dependent_by_hearsay])[0].status is Status.CRIT


@pytest.mark.parametrize("failing", [mistaken, garbled, slow_system, hanging])
def test_a_check_that_could_not_run_is_unknown_and_keeps_nothing_else_from_running(
    failing: object,
) -> None:
    found = statuses(failing, independent)
    assert sorted(found.values()) == [Status.OK, Status.UNKNOWN]


def test_a_probe_that_hangs_reports_its_system_as_down() -> None:
    assert statuses(hanging_probe) == {"hanging_probe": Status.CRIT}


def test_a_system_that_the_target_does_not_name_is_unknown_never_ok() -> None:
    assert statuses(unconfigured) == {"unconfigured": Status.UNKNOWN}


def test_arguments_are_handed_to_a_check() -> None:
    found = Measurement(TARGET).run([independent.given(15), independent.given(value=25)])
    assert [finding.status for finding in found] == [Status.WARN, Status.CRIT]


def test_findings_are_found_by_name() -> None:
    found = Measurement(TARGET).run([independent, probe_up])
    assert found["test_running.probe_up"].message == "PONG"
    with pytest.raises(KeyError, match=r"no finding 'cache.ping' here; there are"):
        found["cache.ping"]


@check(needs=("queues",))
def queue_length(target: Target) -> Finding:
    """Queue length"""
    raise Unreachable("queues", "Redis of the queues cannot be reached: Connection refused.")


@check(needs=("queues",))
def queue_length_known(target: Target) -> Finding:
    """Queue length"""
    return Finding(status=Status.CRIT, message="600 jobs wait.")


ONE = TARGET.changed(redis_url="redis://127.0.0.1:6379/1").changed(
    queues={"url": "redis://127.0.0.1/0"}
)
TWO = TARGET.changed(redis_url="redis://cache:6379").changed(queues={"url": "redis://jobs:6379"})


def test_one_server_for_cache_and_queues_is_one_alarm() -> None:
    down, length = Measurement(ONE).run([probe_down.given(), queue_length.given()])
    assert (down.status, length.status) == (Status.CRIT, Status.SKIPPED)
    assert length.caused_by == down.name
    cause, *others = Measurement(ONE).run([dependent.given(), queue_length.given()])
    assert cause.name == "redis.reachable"
    assert [each.status for each in others] == [Status.SKIPPED, Status.SKIPPED]


def test_two_servers_are_two_alarms_and_neither_hides_the_other() -> None:
    checks = [probe_down.given(), dependent.given(), queue_length_known.given()]
    down, cached, length = Measurement(TWO).run(checks)
    assert [each.status for each in (down, cached, length)] == [
        Status.CRIT,
        Status.SKIPPED,
        Status.CRIT,
    ]
    up, cause, length = Measurement(TWO).run([probe_up.given(), queue_length.given()])
    assert (up.status, cause.status, length.status) == (Status.OK, Status.CRIT, Status.SKIPPED)
    assert (cause.name, cause.title) == ("queues.reachable", "Connection to Redis of the queues")
    assert "Redis of the queues does not respond" in length.message
