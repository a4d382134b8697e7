"""What JupyterLab's server does by itself for a runbook that is open."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from opsnb.target import load_config
from tests.lab.jupyterlab import jupyterlab, until


def test_a_forgotten_window_gives_its_lock_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    lock = Path(load_config().store, ".locks", "local.json")
    opening = ("open", "queues/pause", "-t", "local", "--apply", "--Records.idle_s=1")
    with jupyterlab(tmp_path / "log", *opening) as lab:
        found = re.match(r"(http://[^/]+)/.*token=(\w+)", lab.url)
        assert found
        asked = httpx.post(
            f"{found[1]}/api/sessions",
            headers={"Authorization": f"token {found[2]}"},
            json={"path": "queues/pause.ipynb", "type": "notebook", "name": "pause.ipynb"},
            timeout=60,
        )
        assert asked.status_code == 201
        assert lock.exists()
        until(lambda: not lock.exists())
        lab.end()
    assert "Traceback" not in lab.told
