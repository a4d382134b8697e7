"""Whether a schedule is late: what ran, when, in which zone, and since when it is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from opsnb.config.file import Config, load_config
from opsnb.config.unattended import Schedule
from opsnb.records.store import Store
from opsnb.schedule import listing
from opsnb.timetable import traces
from opsnb.timetable.standing import Standing, covering, grace, standings

BERLIN = ZoneInfo("Europe/Berlin")
TARGETS = """
[targets.shop]
[targets.shop-two]
[targets.other]
"""


def config(cron: str = "15 7 * * *", *, targets: str = '["shop"]', more: str = "") -> Config:
    table = f'[[schedules]]\nname = "daily"\nrunbook = "health/daily"\ncron = "{cron}"\n'
    Path("opsnb.toml").write_text(f"{TARGETS}{table}targets = {targets}\n{more}")
    return load_config()


def written(at: str) -> None:
    """Say that opsnb.toml was written at that time."""
    seconds = moment(at).timestamp()
    os.utime("opsnb.toml", (seconds, seconds))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def standing(found: Config, now: str) -> Standing:
    (only,) = standings(found, Store(found.store), moment(now))
    return only


def ran(found: Config, *times: str) -> None:
    """Say that the schedule ran at these times."""
    schedule = found.schedules[0]
    for at in times:
        traces.begun(schedule, found, moment(at).astimezone(UTC))
        traces.ended(schedule, found, moment(at), exit_code=0, sentence="All is ok.", status="ok")


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")


def test_it_ran_and_is_on_time() -> None:
    found = config()
    written("2026-11-01T00:00")
    ran(found, "2026-11-23T07:15:01")
    now = standing(found, "2026-11-23T12:00")
    assert not now.is_late
    assert now.sentence == "daily is on time, next Tue 24 Nov 07:15."
    assert (now.last and now.last.status) == "ok"
    assert now.missed == []


def test_it_is_late_when_its_grace_has_passed() -> None:
    found = config()
    written("2026-11-01T00:00")
    ran(found, "2026-11-23T07:15:01")
    assert not standing(found, "2026-11-24T08:14").is_late
    now = standing(found, "2026-11-24T09:15")
    assert now.is_late
    assert now.due == moment("2026-11-24T07:15")
    assert now.late_by == timedelta(hours=2)
    assert now.sentence.startswith(
        "daily is 2 h late: due Tue 24 Nov 07:15, last run Mon 23 Nov 07:15."
    )
    assert [f"{each:%d}" for each in now.missed] == ["24"]
    assert listing.exit_code([now]) == 2


def test_what_ran_late_is_not_late_but_what_was_missed_is_known() -> None:
    found = config()
    written("2026-11-01T00:00")
    ran(found, "2026-11-20T07:15:01", "2026-11-23T11:00:00")
    now = standing(found, "2026-11-23T12:00")
    assert not now.is_late
    assert [f"{each:%d}" for each in now.missed] == ["21", "22"]
    assert listing.exit_code([now]) == 0


def test_a_clock_that_was_set_back_hides_nothing() -> None:
    found = config()
    written("2026-11-01T00:00")
    ran(found, "2026-11-23T07:15:01", "2027-11-23T07:15:01")
    now = standing(found, "2026-11-23T12:00")
    assert not now.is_late
    assert (now.last and now.last.started) == moment("2026-11-23T07:15:01")
    now = standing(found, "2026-11-24T12:00")
    assert now.is_late
    assert now.sentence.endswith(
        "last run Mon 23 Nov 07:15. A run is dated 2027-11-23 07:15, so the clock of this "
        "machine was set back."
    )
    ran(found, "2026-11-24T12:01:00")
    now = standing(found, "2026-11-24T12:02")
    assert (now.is_late, now.last and now.last.status) == (False, "ok")
    # A run of an hour that came twice counts when the clock has come to it again.
    ran(found, "2026-11-25T07:15:01")
    assert not standing(found, "2026-11-25T07:00").is_late
    assert not standing(found, "2026-11-25T12:00").is_late


def test_one_first_seen_by_a_clock_that_was_ahead_can_be_late() -> None:
    found = config()
    written("2027-11-01T08:00")
    assert not standing(found, "2027-11-01T12:00").is_late
    assert not standing(found, "2026-11-23T12:00").is_late
    assert standing(found, "2026-11-24T12:00").is_late


def test_one_newly_added_is_not_late() -> None:
    found = config()
    written("2026-11-23T08:00")
    assert not standing(found, "2026-11-23T12:00").is_late
    assert standing(found, "2026-11-24T12:00").is_late  # nobody has ever run it
    # Another time of the day begins anew, though the file is written again much later.
    found = config("15 9 * * *")
    written("2026-11-24T11:00")
    assert not standing(found, "2026-11-24T12:00").is_late


def test_a_file_that_is_written_again_hides_nothing() -> None:
    found = config()
    written("2026-11-20T08:00")
    assert not standing(found, "2026-11-20T12:00").is_late
    written("2026-11-24T11:00")
    assert standing(found, "2026-11-24T12:00").is_late


@pytest.mark.parametrize(
    ("cron", "last", "in_time", "late"),
    [
        # In spring 02:30 is not there; cron runs it at 03:00 summer time.
        ("30 2 * * *", "2026-03-28T02:30:01", "2026-03-29T03:50", "2026-03-29T04:10"),
        # In autumn 02:30 comes twice; it runs at the first.
        ("30 2 * * *", "2026-10-24T02:30:01", "2026-10-25T02:29", "2026-10-25T03:00"),
        # The day after is 24 hours of the clock later, not of time.
        ("0 12 * * *", "2026-10-24T12:00:01", "2026-10-25T12:50", "2026-10-25T13:10"),
        ("0 12 * * *", "2026-03-28T12:00:01", "2026-03-29T12:50", "2026-03-29T13:10"),
    ],
)
def test_clocks_that_are_changed(cron: str, last: str, in_time: str, late: str) -> None:
    found = config(cron)
    written("2026-01-01T00:00")
    ran(found, last)
    assert not standing(found, in_time).is_late
    assert standing(found, late).is_late


def test_every_minute_of_the_hour_that_comes_twice() -> None:
    found = config("* * * * *")
    written("2026-01-01T00:00")
    first = moment("2026-10-25T02:30")
    for at in (first, first.replace(fold=1)):
        traces.begun(found.schedules[0], found, at)
        traces.ended(found.schedules[0], found, at, exit_code=0, sentence="", status="ok")
        (now,) = standings(found, Store(found.store), at + timedelta(seconds=50))
        assert not now.is_late
    second = first.replace(fold=1).astimezone(UTC)
    later = (second + timedelta(minutes=3)).astimezone(BERLIN)
    (now,) = standings(found, Store(found.store), later)
    assert now.is_late
    assert timedelta(minutes=1) < now.late_by < timedelta(minutes=3)


@pytest.mark.parametrize(
    ("cron", "due", "expected"),
    [
        ("* * * * *", "2026-11-23T00:00", timedelta(minutes=1)),
        ("*/30 * * * *", "2026-11-23T00:30", timedelta(minutes=3)),
        ("15 7 * * *", "2026-11-23T07:15", timedelta(hours=1)),
        ("0 0 1 * *", "2026-11-01T00:00", timedelta(hours=1)),
    ],
)
def test_the_grace_goes_by_the_time_between_two_runs(
    cron: str, due: str, expected: timedelta
) -> None:
    schedule = Schedule(name="s", runbook="health/daily", cron=cron, targets=("shop",))
    assert grace(schedule, moment(due)) == expected


def test_a_grace_of_its_own() -> None:
    found = config(more='grace = "3h"\n')
    written("2026-11-01T00:00")
    ran(found, "2026-11-23T07:15:01")
    assert not standing(found, "2026-11-24T10:14").is_late
    assert standing(found, "2026-11-24T10:16").is_late


def _running(found: Config) -> None:
    traces.begun(found.schedules[0], found, moment("2026-11-23T07:15:01"))


def _refused(found: Config) -> None:
    ran(found, "2026-11-23T07:15:01")
    why = "There is no target 'shop'."
    traces.refused(found.schedules[0], found, moment("2026-11-24T07:15:01"), why)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (_running, "The run of Mon 23 Nov 07:15 has not ended yet."),
        (_refused, "The run could not begin: There is no target 'shop'."),
    ],
)
def test_why_it_is_late(before: Callable[[Config], None], reason: str) -> None:
    found = config()
    written("2026-11-01T00:00")
    before(found)
    now = standing(found, "2026-11-24T12:00")
    assert now.is_late
    assert now.sentence.endswith(reason)


def test_a_machine_that_was_off() -> None:
    found = config("* * * * *")
    booted = datetime.fromtimestamp(psutil.boot_time(), UTC)
    seconds = (booted - timedelta(days=1)).timestamp()
    os.utime("opsnb.toml", (seconds, seconds))
    at = booted - timedelta(minutes=30)
    traces.begun(found.schedules[0], found, at)
    traces.ended(found.schedules[0], found, at, exit_code=0, sentence="", status="ok")
    (now,) = standings(found, Store(found.store), booted.astimezone(BERLIN) + timedelta(minutes=5))
    assert now.is_late
    assert "This machine was off or starting then" in now.sentence
    assert len(now.missed) > 29


def test_one_that_runs_is_not_late() -> None:
    found = config()
    written("2026-11-01T00:00")
    _running(found)
    now = standing(found, "2026-11-23T12:00")
    assert (now.is_late, now.running) == (False, True)
    assert now.sentence == "daily has been running since Mon 23 Nov 07:15."


def test_all_and_globs_check_each_of_their_targets() -> None:
    found = standings(config(targets='["all"]'), Store("/nowhere"), moment("2026-11-23T12:00"))
    assert [len(covering(found, name)) for name in ("shop", "shop-two", "other")] == [1, 1, 1]
    found = standings(config(targets='["shop*"]'), Store("/nowhere"), moment("2026-11-23T12:00"))
    assert [len(covering(found, name)) for name in ("shop", "shop-two", "other")] == [1, 1, 0]


def test_without_traces_and_records_nobody_knows() -> None:
    found = config()
    written("2026-11-01T00:00")
    Path("records").mkdir()
    Path("records/2026").symlink_to("2026")  # a loop, which nobody can read
    unreadable = Store(str(Path("records").resolve()))
    (now,) = standings(found, unreadable, moment("2026-11-24T12:00"))
    assert (now.is_late, listing.exit_code([now])) == (False, 3)
    assert "UNKNOWN: daily: no run is known here" in listing.plugin_line([now])
    ran(found, "2026-11-24T07:15:01")
    (now,) = standings(found, unreadable, moment("2026-11-24T12:00"))
    assert listing.exit_code([now]) == 0


def test_the_line_of_the_plugin() -> None:
    assert listing.plugin_line([]).startswith("SCHEDULES UNKNOWN: there are no schedules")
    found = config()
    written("2026-11-01T00:00")
    late = standing(found, "2026-11-24T12:00")
    line = listing.plugin_line([late])
    assert "\n" not in line
    assert line.startswith("SCHEDULES CRITICAL: daily is ")
    assert line.endswith("schedules=1;;;0")
    assert line.count("|") == 1
