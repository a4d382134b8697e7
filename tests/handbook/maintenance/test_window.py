"""The maintenance window: when it is open, over midnight and in its own time zone."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsnb.config.settings import Maintenance
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.handbook.maintenance import window
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database

SUNDAY = {"days": ["sun"], "begins": "02:00", "ends": "04:00"}
NIGHT = {"days": ["sat"], "begins": "23:00", "ends": "01:00"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "moment", "is_open"),
    [
        (SUNDAY, "2026-11-22T02:00", True),
        (SUNDAY, "2026-11-22T03:59", True),
        (SUNDAY, "2026-11-22T04:00", False),
        (SUNDAY, "2026-11-22T01:59", False),
        (SUNDAY, "2026-11-23T03:00", False),
        (NIGHT, "2026-11-21T23:30", True),
        (NIGHT, "2026-11-22T00:30", True),
        (NIGHT, "2026-11-22T01:30", False),
        (NIGHT, "2026-11-22T23:30", False),
        ({**SUNDAY, "timezone": "Europe/Berlin"}, "2026-11-22T01:30", True),
        ({**SUNDAY, "timezone": "Europe/Berlin"}, "2026-11-22T03:30", False),
        ({**SUNDAY, "timezone": "America/New_York"}, "2026-11-22T07:30", True),
        ({}, "2026-11-22T02:30", True),
    ],
)
def test_it_is_open_in_its_hours(given: dict[str, Any], moment: str, *, is_open: bool) -> None:
    assert window.is_open(Maintenance.model_validate(given), at(moment)) is is_open


def test_outside_of_it_only_plans_are_made() -> None:
    target = Target(name="shop", maintenance=Maintenance())
    monday = at("2026-11-23T12:00")
    window.require(target, apply=False, at=monday)
    window.require(target, apply=True, outside=True, at=monday)
    window.require(target, apply=True, at=at("2026-11-29T03:00"))
    window.require(Target(name="shop"), apply=True, at=monday)
    with pytest.raises(Refused, match=r"Sun 2026-11-29 02:00 to 04:00 UTC.*outside_window=true"):
        window.require(target, apply=True, at=monday)


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Maintenance(timezone="Berlin")


def test_a_window_on_no_day_is_refused() -> None:
    with pytest.raises(ValueError, match="days"):
        Maintenance(days=())


@pytest.mark.parametrize("runbook", ["maintenance/weekly", "maintenance/monthly"])
def test_a_run_outside_of_it_is_refused_and_changes_nothing(
    demo: Target, tmp_path: Path, runbook: str
) -> None:
    day = f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()
    (tmp_path / "opsnb.toml").write_text(
        f"[targets.shop]\ndatabase_url = {json.dumps(Database.of(demo).url)}\n"
        f"redis_url = {json.dumps(Cache.of(demo).url)}\n"
        f"pg_bin = {json.dumps(Database.of(demo).programs)}\n"
        f'[targets.shop.maintenance]\ndays = ["{day}"]\n'
    )
    opsnb = str(Path(sys.executable).with_name("opsnb"))
    command = [opsnb, "run", runbook, "-t", "shop", "-p", "packages=false", "--apply", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    assert (done.returncode, result["exit_code"], result["actions"]) == (77, 77, [])
    assert "-p outside_window=true" in result["error"]
