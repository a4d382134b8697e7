"""What a channel is told: changes, recoveries and reminders, and little of what keeps changing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsnb.config.unattended import Notify
from opsnb.model import Status
from opsnb.notify.known import Kind
from opsnb.notify.memory import Checks, Memory, opened
from opsnb.notify.observations import Observation, Observed

START = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
OK, WARN, CRIT, UNKNOWN, SKIPPED = (
    Status.OK,
    Status.WARN,
    Status.CRIT,
    Status.UNKNOWN,
    Status.SKIPPED,
)


def observed(
    status: Status | None, *, target: str = "shop", schedule: str = "daily", ended: bool = True
) -> Observed:
    """One run that found the API in `status`; None does not report it."""
    found = (
        [Observation(target, "api.health", "API health", status, "It is so.", "opsnb run x")]
        if status
        else []
    )
    complete = frozenset([target] if ended else [])
    return Observed(schedule, "health/daily", "id", "/record", found, complete)


def channel(**more: Any) -> Notify:
    return Notify(name="hook", url="json://127.0.0.1", **more)


def kinds(
    statuses: Sequence[Status | None],
    *,
    every: timedelta = timedelta(minutes=5),
    memory: Memory | None = None,
    **more: Any,
) -> list[str | None]:
    """Return what each of successive runs tells the channel."""
    memory = memory or Memory({})
    wanted = channel(**more)
    told = []
    for number, status in enumerate(statuses):
        events = memory.events(wanted, observed(status), START + number * every)
        told.append(events[0].kind.value if events else None)
    return told


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ([OK, OK], [None, None]),
        ([CRIT, CRIT, CRIT], ["problem", None, None]),
        ([CRIT, OK, OK], ["problem", "recovery", None]),
        ([WARN, CRIT, WARN], ["problem", "problem", "problem"]),
        ([CRIT, UNKNOWN], ["problem", "problem"]),
        # A check that was left out, or a run that broke, is no recovery.
        ([CRIT, SKIPPED, OK], ["problem", None, "recovery"]),
        # A run that came to its end and does not report it any more is.
        ([CRIT, None, None], ["problem", "recovery", None]),
    ],
)
def test_changes_are_told_once(statuses: list[Status | None], told: list[str | None]) -> None:
    assert kinds(statuses) == told


def test_what_a_broken_run_does_not_report_is_not_over() -> None:
    memory = Memory({})
    assert kinds([CRIT], memory=memory) == ["problem"]
    assert memory.events(channel(), observed(None, ended=False), START) == []
    assert kinds([OK], memory=memory) == ["recovery"]


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ([WARN, CRIT, OK], [None, "problem", "recovery"]),
        ([CRIT, WARN, OK], ["problem", "recovery", None]),
        # Not to know is no recovery, though the channel is not told of unknown.
        ([CRIT, UNKNOWN, CRIT, OK], ["problem", None, None, "recovery"]),
    ],
)
def test_a_channel_for_crit_alone(statuses: list[Status], told: list[str | None]) -> None:
    assert kinds(statuses, status=("crit",)) == told


def test_a_channel_without_recoveries() -> None:
    assert kinds([CRIT, OK, CRIT], recovery=False) == ["problem", None, "problem"]


def test_reminders() -> None:
    hours = timedelta(hours=1)
    told = kinds([CRIT] * 6, every=hours, reminder=2 * 3600)
    assert told == ["problem", None, "reminder", None, "reminder", None]


def test_flapping_is_told_and_then_nothing_until_it_is_steady() -> None:
    told = kinds([CRIT, OK] * 10)
    assert told[:4] == ["problem", "recovery", "problem", "flapping"]
    assert told[4:] == [None] * 16
    memory = Memory({})
    told = kinds([CRIT, OK] * 4 + [CRIT] * 10, memory=memory)
    # From the ninth run on it stays: it is told when that has lasted for 30 minutes.
    assert told[4:] == [None] * 10 + ["steady"] + [None] * 3


def test_worse_than_ever_breaks_through_flapping() -> None:
    assert kinds([WARN, OK, WARN, OK, WARN, CRIT, OK, CRIT]) == [
        "problem",
        "recovery",
        "problem",
        "flapping",
        None,
        "problem",
        None,
        None,
    ]


def test_what_changes_once_a_day_is_not_flapping() -> None:
    told = kinds([CRIT, OK] * 4, every=timedelta(days=1))
    assert told == ["problem", "recovery"] * 4


def test_each_schedule_and_target_is_known_by_itself() -> None:
    memory, wanted = Memory({}), channel(targets=("shop*",))
    assert len(memory.events(wanted, observed(CRIT), START)) == 1
    assert len(memory.events(wanted, observed(CRIT, target="shop-two"), START)) == 1
    assert len(memory.events(wanted, observed(CRIT, schedule="hourly"), START)) == 1
    assert memory.events(wanted, observed(CRIT, target="other"), START) == []
    assert memory.events(wanted, observed(CRIT), START) == []


def test_it_survives_a_restart_and_forgets_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    with opened(path) as memory:
        assert kinds([CRIT], memory=memory) == ["problem"]
    assert path.stat().st_mode & 0o777 == 0o600
    with opened(path) as memory:
        assert kinds([CRIT], memory=memory) == [None]
        memory.forget(["hook"])
        assert kinds([CRIT], memory=memory) == [None]
        memory.forget(["another"])
        assert kinds([CRIT], memory=memory) == ["problem"]


@pytest.mark.parametrize(
    "damage", ["", '{"hook": {"x": 1', '{"hook": {"x": 1}}', "[]", "\0" * 99, "[" * 100_000]
)
def test_a_damaged_memory_is_read_from_its_copy(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "told.json"
    with opened(path) as memory:
        assert kinds([CRIT], memory=memory) == ["problem"]
    path.write_text(damage)
    with opened(path) as memory:
        assert kinds([CRIT], memory=memory) == [None]
    assert memory.failure == ""
    for file in tmp_path.glob("told.json*"):
        file.write_text(damage)
    with opened(path) as memory:
        assert kinds([CRIT], memory=memory) == ["problem"]
    assert memory.failure == f"{path} is damaged"
    with opened(path) as memory:
        assert kinds([CRIT], memory=memory) == [None]
    assert memory.failure == ""


@pytest.mark.parametrize(
    ("checks", "why"),
    [
        (Checks(["shop"], {"daily": ["shop"]}), None),
        (Checks(["store"], {"daily": ["store"]}), "The target is no longer in opsnb.toml."),
        (Checks(["shop", "b"], {"daily": ["b"]}), "Schedule daily no longer checks it."),
        (Checks(["shop"], {"hourly": ["shop"]}), "Schedule daily is no longer in opsnb.toml."),
    ],
)
def test_an_alarm_that_nothing_checks_any_more_is_closed_once(
    checks: Checks, why: str | None
) -> None:
    memory, later = Memory({}), observed(OK, target="other", schedule="hourly")
    assert kinds([CRIT], memory=memory) == ["problem"]
    closed = memory.closed(channel(), later, checks)
    if why is None:
        assert closed == []
        return
    assert [(each.kind, each.was, each.observation.message) for each in closed] == [
        (Kind.CLOSED, CRIT, why)
    ]
    assert memory.closed(channel(), later, checks) == []


def test_another_runbook_in_the_schedule_is_no_recovery() -> None:
    memory, checks = Memory({}), Checks(["shop"], {"daily": ["shop"]})
    assert kinds([CRIT], memory=memory) == ["problem"]
    other = replace(observed(None), runbook="cache/health")
    (event,) = memory.closed(channel(), other, checks)
    assert event.observation.message == (
        "Schedule daily now runs cache/health, no longer health/daily."
    )
    assert memory.events(channel(), other, START) == []


def test_an_alarm_of_a_system_that_the_target_no_longer_has_is_closed() -> None:
    memory, checks = Memory({}), Checks(["shop"], {"daily": ["shop"], "hourly": ["shop"]})
    assert kinds([CRIT], memory=memory) == ["problem"]
    removed = replace(observed(None), unconfigured=frozenset([("shop", "api.health")]))
    assert memory.closed(channel(), replace(removed, schedule="hourly"), checks) == []
    (event,) = memory.closed(channel(), removed, checks)
    assert (event.kind, event.was) == (Kind.CLOSED, CRIT)
    assert "no longer checked" in event.observation.message
    assert memory.events(channel(), removed, START) == []


def test_what_was_never_told_or_has_recovered_is_not_closed() -> None:
    memory, gone = Memory({}), Checks([], {})
    assert kinds([CRIT, OK], memory=memory) == ["problem", "recovery"]
    assert memory.closed(channel(), observed(OK), gone) == []
    assert kinds([CRIT], memory=memory, recovery=False) == ["problem"]
    assert memory.closed(channel(recovery=False), observed(OK), gone) == []


def test_two_runners_at_once_tell_it_once(tmp_path: Path) -> None:
    path, told = tmp_path / "told.json", []

    def run() -> None:
        with opened(path) as memory:
            told.extend(memory.events(channel(), observed(CRIT), START))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.kind for event in told] == [Kind.PROBLEM]
