"""Timers of systemd: they are due when cron's lines are, and systemd accepts them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from opsnb.config.file import load_config
from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError
from opsnb.schedule import systemd
from opsnb.timetable.times import next_times

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
START = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "15 7 * * *",
    "0 2 * * 0",
    "0 2 * * 7",
    "5,35 8-18/2 * * mon-fri",
    "0 0 1,15 * *",
    "0 0 13 * fri",  # either day
    "0 0 */2 * mon",  # both
    "30 4 29 2 *",
]


def schedule(cron: str) -> Schedule:
    return Schedule(name="s", runbook="health/daily", cron=cron, targets=("shop",))


@needs_systemd
@pytest.mark.parametrize("cron", EXPRESSIONS)
def test_a_timer_is_due_when_cron_is(cron: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    told = subprocess.run(
        [
            str(ANALYZE),
            "calendar",
            "--iterations=8",
            f"--base-time={START:%Y-%m-%d %H:%M:%S} UTC",
            *systemd.calendar(schedule(cron)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(
        r"(?:elapse|#\d+|\(in UTC\)): \w+ (\d+-\d\d-\d\d \d\d:\d\d):00 UTC", told.stdout
    )
    due = [f"{at:%Y-%m-%d %H:%M}" for at in next_times(schedule(cron), START, 8)]
    assert sorted(set(found))[:8] == due


def test_a_zone_that_is_named_is_the_timer_s_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert systemd.calendar(schedule("15 7 * * *")) == ["*-*-* 07:15:00 Europe/Berlin"]
    assert ZoneInfo("Europe/Berlin")


CONFIG = """
[targets.shop]
api_url = "http://127.0.0.1:1"
[[schedules]]
name = "daily"
runbook = "health/daily"
cron = "15 7 * * *"
targets = ["shop"]
"""


@needs_systemd
def test_systemd_accepts_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Path("a folder of 100% $HOME")
    strange.mkdir()
    monkeypatch.chdir(strange)
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    Path("opsnb.toml").write_text(CONFIG)
    made = systemd.units(load_config(), None)
    assert [unit.name.rpartition(".")[2] for unit in made] == ["service", "timer"]
    folder = Path("units")
    folder.mkdir()
    for unit in made:
        (folder / unit.name).write_text(unit.text)
    told = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", *(str(folder / unit.name) for unit in made)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder.resolve()}:"},
    )
    own = [line for line in told.stderr.splitlines() if "opsnb-" in line]
    assert own == []


def test_a_service_runs_what_cron_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PM2_HOME", "/srv/100%/.pm2")
    Path("opsnb.toml").write_text(CONFIG)
    service, timer = systemd.units(load_config(), None)
    assert 'Environment="PM2_HOME=/srv/100%%/.pm2"' in service.text
    assert '"-m" "opsnb" "schedule" "run" "daily"' in service.text
    assert "Persistent=true" in timer.text


def test_without_systemd_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(systemd, "_folder", lambda: tmp_path / "units")
    Path("opsnb.toml").write_text(CONFIG)
    with pytest.raises(ConfigError, match="or use cron: opsnb schedule crontab --install"):
        systemd.install(load_config(), None)
    assert not (tmp_path / "units").exists()


@pytest.fixture
def own_systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemctl` command that notes what it is told: no systemd runs where tests do."""
    path = tmp_path / "told"
    command = tmp_path / "bin" / "systemctl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$*" >> {path}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    monkeypatch.setattr(systemd, "_folder", lambda: tmp_path / "units")
    return path


def test_units_come_and_go(own_systemctl: Path, tmp_path: Path) -> None:
    Path("opsnb.toml").write_text(CONFIG)
    service, timer = systemd.install(load_config(), None)
    assert own_systemctl.read_text().splitlines()[-1].endswith(f"enable --now {timer.name}")
    Path("opsnb.toml").write_text(CONFIG.replace('"daily"', '"nightly"'))
    renamed = systemd.install(load_config(), None)
    assert sorted((tmp_path / "units").iterdir()) == sorted(renamed)
    assert f"disable --now {timer.name}" in own_systemctl.read_text()
    assert service not in renamed
    assert systemd.remove(load_config())
    assert list((tmp_path / "units").iterdir()) == []
    assert not systemd.remove(load_config())
