"""The forecast of what fills up: exact where growth is, honest where it is not known."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from opsnb.config.settings import Limits
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.handbook.maintenance.monthly import capacity, forecasting, past
from opsnb.model import Finding, Row, Status, now
from opsnb.view import charts
from tests.handbook.records import keep

TARGET = Target(name="demo")
MIB = 2**20


def disk(**used: float) -> Finding:
    rows = [{"mount": f"/{name}", "used_percent": percent} for name, percent in used.items()]
    return Finding(name="host.disk", status=Status.OK, message="", rows=rows)


def size(mib: float, free_mib: float | None) -> Finding:
    free = None if free_mib is None else free_mib * MIB
    row = {"database": "shop", "size_bytes": mib * MIB, "free_bytes": free}
    return Finding(name="database.size", status=Status.OK, message="", rows=[row])


def queue(waiting: int, total: int) -> Finding:
    row = {"queue": "exports", "waiting": waiting, "total": total}
    return Finding(name="queues.depth", status=Status.OK, message="", rows=[row])


def record(found: Callable[[int], Finding], days: int, every_h: int = 24) -> None:
    """Leave a record every so many hours; the last one of them is of this moment."""
    for hours in range(0, 24 * days + 1, every_h):
        keep(now() - timedelta(hours=24 * days - hours), found(hours), runbook="health/daily")


def forecast(target: Target = TARGET) -> tuple[Finding, dict[str, Row]]:
    found = capacity.forecast(target, past.periods(30))
    return found, {row["what"]: row for row in found.rows}


def test_known_growth_gives_the_exact_day() -> None:
    record(lambda hours: disk(data=50 + hours / 24), days=20)
    found, rows = forecast()
    assert found.value == pytest.approx(20, abs=0.1)
    assert found.status is Status.WARN
    assert found.message == "Disk /data reaches 90 % in 20 days (20 to 20)."
    assert rows["Disk /data"]["until_warn"] == "80 %: in 10 days (10 to 10)"
    assert rows["Disk /data"]["a_day"].startswith("1 ±")


def noisy(noise: float, chance: random.Random) -> forecasting.Forecast:
    """A forecast of what will reach its limit in ten days, by points with noise on them."""
    points = [(day * 86_400.0, 50 + day + chance.gauss(0, noise)) for day in range(31)]
    return forecasting.Forecast("x", points, TARGET.threshold("disk_used_percent"), 30 * 86_400.0)


def day_range(made: forecasting.Forecast) -> tuple[float, float]:
    assert made.line is not None
    return made.days(90, made.line.most), made.days(90, made.line.least)


def test_the_range_holds_the_true_day() -> None:
    chance = random.Random(3)
    ranges = [day_range(noisy(1.0, chance)) for _ in range(200)]
    assert sum(earliest <= 10 <= latest for earliest, latest in ranges) >= 170


def test_the_range_is_as_wide_as_the_noise() -> None:
    widths = []
    for noise in (0.5, 1.0, 2.0):
        earliest, latest = day_range(noisy(noise, random.Random(3)))
        widths.append(latest - earliest)
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.2)
    assert widths[2] == pytest.approx(2 * widths[1], rel=0.2)


def test_after_a_large_drop_only_what_came_since_counts() -> None:
    record(lambda hours: disk(data=60 + hours / 24 if hours < 240 else 30 + hours / 48), days=20)
    found, rows = forecast()
    assert found.value == pytest.approx(100, abs=0.5)
    dropped = f"{now() - timedelta(days=10):%Y-%m-%d}"
    assert f"by the records since the drop of {dropped}" in found.message
    assert rows["Disk /data"]["records"] == f"11 since the drop of {dropped}"


@pytest.mark.parametrize(
    "values",
    [
        [50, 51, 52, 20, 53, 54, 55],  # one slip of the measurement
        [50, 52, 49, 53, 50, 54, 51],  # ups and downs
        [50, 51, 52, 50, 51, 52, 53, 51],  # a little is cleaned now and then
        [0, 0, 0, 0],
        [7],
    ],
)
def test_what_is_no_large_drop_keeps_all_points(values: list[float]) -> None:
    points = [(float(place), float(value)) for place, value in enumerate(values)]
    assert forecasting.since_drop(points) == points


def test_right_after_a_drop_nothing_is_known() -> None:
    record(lambda hours: disk(data=60 + hours / 24 if hours < 456 else 20, other=40), days=20)
    _, rows = forecast()
    assert rows["Disk /data"]["until_crit"] == "90 %: too few records"
    assert rows["Disk /data"]["a_day"] is None


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (lambda _: 40.0, "90 %: does not grow"),
        (lambda hours: 60 - hours / 240, "90 %: does not grow"),
        (lambda hours: 40 + hours / 2400, "90 %: not within a year"),
        (lambda hours: 92 + hours / 240, "90 %: reached"),
    ],
)
def test_what_is_told_where_no_day_can_be(used: Callable[[int], float], told: str) -> None:
    record(lambda hours: disk(data=used(hours)), days=20)
    found, rows = forecast()
    assert rows["Disk /data"]["until_crit"] == told
    reached = "reached" in told
    assert found.status is (Status.CRIT if reached else Status.OK)
    assert found.value == (0 if reached else None)


def test_growth_that_is_not_sure_raises_no_alarm() -> None:
    chance = random.Random(8)
    record(lambda hours: disk(data=70 + hours / 480 + chance.gauss(0, 8)), days=20)
    found, rows = forecast()
    assert (found.status, found.value) == (Status.OK, None)
    assert "at the earliest" in rows["Disk /data"]["until_crit"]


def test_too_few_records_are_unknown_with_the_mend() -> None:
    for records in (0, 3):
        if records:
            record(lambda hours: disk(data=50 + hours), days=6, every_h=72)
        with pytest.raises(BadAnswer, match=r"too few records.*health/daily on a schedule"):
            forecast()


def test_some_hours_are_too_short_for_days() -> None:
    record(lambda hours: disk(data=50 + hours), days=2, every_h=4)
    with pytest.raises(BadAnswer, match="too few records"):
        forecast()


def test_a_database_may_grow_until_its_disk_is_full() -> None:
    record(lambda hours: size(100 + hours, 1000 - hours), days=20)
    found, rows = forecast()
    assert found.value == pytest.approx((1000 - 480) / 24, abs=0.1)
    assert rows["Database shop"]["until_warn"] is None
    assert rows["Database shop"]["until_crit"] == "1,100 MiB: in 22 days (22 to 22)"


def test_a_database_has_the_limits_that_are_set() -> None:
    own = TARGET.model_copy(update={"thresholds": {"database_size_mib": Limits(crit=1060)}})
    record(lambda hours: size(100 + hours, None), days=20)
    found, _ = forecast(own)
    assert found.value == pytest.approx(20, abs=0.1)
    found, _ = forecast()
    assert (found.status, found.value) == (Status.OK, None)
    assert "set database_size_mib" in found.message


def test_queues_are_forecast_by_what_waits_and_what_is_kept() -> None:
    record(lambda hours: queue(hours // 24 * 20, 10_000 + 24 * hours), days=20)
    found, rows = forecast()
    assert found.message.startswith("Queue exports, waiting reaches 500 jobs in 5 days")
    assert found.status is Status.CRIT
    assert rows["Queue exports, kept"]["until_warn"].startswith("100,000 jobs: in 136 days")


def test_what_a_watch_saw_is_no_point_of_a_forecast() -> None:
    alert = {"what": "mail", "status": "warn", "began": "12:00:00", "worst": 900}
    watched = Finding(name="queues.depth", status=Status.WARN, message="", rows=[alert])
    record(lambda hours: queue(hours, 5000), days=20)
    keep(now(), watched)
    _, rows = forecast()
    assert set(rows) == {"Queue exports, waiting", "Queue exports, kept"}


def test_what_is_not_there_any_more_has_no_future() -> None:
    record(lambda hours: disk(data=50) if hours > 240 else disk(data=50, old=60), days=20)
    assert set(forecast()[1]) == {"Disk /data"}


def test_records_of_other_targets_do_not_count() -> None:
    record(lambda _: disk(data=50), days=20)
    for day in range(20):
        keep(now() - timedelta(days=day), disk(alien=99), target="shop-demo")
    assert set(forecast()[1]) == {"Disk /data"}


def test_a_forecast_is_drawn_with_its_points_its_range_and_its_limits() -> None:
    chance = random.Random(5)
    record(lambda hours: disk(data=50 + hours / 24 + chance.gauss(0, 2)), days=20)
    (chart,) = capacity.drawn(TARGET, past.periods(30))
    assert chart.title == "Disk /data"
    assert "crit 90" in chart.svg
    assert "fill-opacity" in chart.svg  # the range
    assert "expected" in chart.text


def test_without_records_there_is_nothing_to_draw() -> None:
    assert capacity.drawn(TARGET, past.periods(30)) == []
    assert charts.grid_text([]) == ""
