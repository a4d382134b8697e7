"""Past runs and findings as pandas frames."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsnb import Runbook
from opsnb.config.file import load_target
from opsnb.model import Finding, Status
from opsnb.records import frames
from tests.handbook.records import keep

NOW = datetime.now(UTC).replace(microsecond=0)


def latency(ms: float, status: Status = Status.OK, *, superseded: bool = False) -> Finding:
    return Finding(
        name="api.latency", status=status, message="x", value=ms, unit="ms", superseded=superseded
    )


@pytest.fixture
def _past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "opsnb.toml"
    config.write_text('[targets.shop]\napi_url = "http://127.0.0.1:1"\n')
    monkeypatch.setenv("OPSNB_CONFIG", str(config))
    monkeypatch.setenv("OPSNB_RECORDS", str(tmp_path / "records"))
    other = Finding(name="host.disk", status=Status.OK, message="Free.")
    slow = latency(80, superseded=True), latency(700, Status.CRIT)
    keep(NOW - timedelta(days=40), latency(9), target="shop")
    keep(NOW - timedelta(days=2), latency(12), other, target="shop")
    keep(NOW - timedelta(days=1), *slow, target="shop")
    keep(NOW - timedelta(days=1), latency(1), target="another")
    keep(NOW - timedelta(hours=1), other, target="shop", runbook="cache/health")


@pytest.mark.usefixtures("_past")
def test_the_history_of_a_finding_is_of_this_target_and_these_days() -> None:
    rb = Runbook("shop")
    history = rb.history("api.latency", days=30)
    assert list(history.columns) == ["time", "status", "value", "unit", "run_id"]
    assert list(history["value"]) == [12, 700]
    assert list(history["status"]) == ["ok", "crit"]
    assert [at.to_pydatetime() for at in history["time"]] == [
        NOW - timedelta(days=2),
        NOW - timedelta(days=1),
    ]
    assert list(rb.history("api.latency", days=60)["value"]) == [9, 12, 700]


@pytest.mark.usefixtures("_past")
def test_the_records_are_those_of_all_runbooks_or_of_some() -> None:
    rb = Runbook("shop")
    records = rb.records(days=30)
    assert list(records["runbook"]) == ["health/daily", "health/daily", "cache/health"]
    assert list(records["exit_code"]) == [0, 2, 0]
    assert list(records["findings"]) == [2, 1, 1]
    assert len(rb.records("cache/health")) == 1


@pytest.mark.usefixtures("_past")
def test_without_records_a_frame_is_empty_and_keeps_its_columns() -> None:
    history = frames.history(load_target("shop"), "nobody.asks", 30)
    assert history.empty
    assert "value" in history.columns
    assert str(history["time"].dt.tz) == "UTC"


def test_the_rows_of_a_finding_are_a_frame() -> None:
    rows = [{"queue": "emails", "waiting": 3}, {"queue": "reports", "waiting": 9}]
    finding = Finding(status=Status.OK, message="x", rows=rows)
    assert finding.frame().set_index("queue")["waiting"].to_dict() == {"emails": 3, "reports": 9}


def test_pandas_is_imported_only_when_a_frame_is_asked_for() -> None:
    code = "import sys, opsnb.runbook; print('pandas' in sys.modules, 'numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]
