"""The time zone that schedules are read in, with its rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from opsnb.timetable import times


def test_the_zone_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for named in ("Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin"):
        monkeypatch.setenv("TZ", named)
        assert times.zone() == ZoneInfo("Europe/Berlin")


def test_a_zone_that_nobody_knows_has_an_offset_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Nowhere/Land")
    assert times.local_now().utcoffset() is not None


def test_the_machine_s_own_zone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    link, copy = tmp_path / "link", tmp_path / "copy"
    source = Path("/usr/share/zoneinfo/Europe/Berlin")
    link.symlink_to(source)
    copy.write_bytes(source.read_bytes())
    summer = datetime(2026, 7, 1)
    for path in (link, copy):
        monkeypatch.setattr(times, "_LOCALTIME", path)
        assert summer.replace(tzinfo=times.zone()).utcoffset() == timedelta(hours=2)
