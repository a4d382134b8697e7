"""What `opsnb open` and `opsnb lab` refuse before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsnb.config.places import state_home
from tests.lab.jupyterlab import opsnb


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("health/dayly",), "There is no runbook 'health/dayly'. Did you mean 'health/daily'?"),
        (("health/daily", "-p", "hours=long"), "Parameter hours='long' cannot be used"),
        (("health/daily", "-t", "nowhere"), "There is no target 'nowhere'"),
        (("health/daily", "-t", "local", "--apply"), "health/daily changes nothing"),
        (("queues/pause", "-t", "local", "--aply"), "Did you mean '--apply'?"),
        (("queues/pause", "-t", "local", "--port", "1", "prod"), "Unexpected argument 'prod'"),
    ],
)
def test_what_is_unusable_is_refused_in_one_sentence(
    arguments: tuple[str, ...], sentence: str
) -> None:
    refused = opsnb("open", *arguments)
    assert refused.returncode == 64
    assert sentence in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not state_home().exists()


@pytest.mark.parametrize("command", [("open", "health/daily", "-t", "local"), ("lab",)])
def test_a_store_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPSNB_RECORDS", str(tmp_path / "file" / "records"))
    refused = opsnb(*command)
    assert refused.returncode == 64
    assert "cannot be written" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not state_home().exists()
