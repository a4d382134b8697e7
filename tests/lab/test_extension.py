"""What JupyterLab's server does by itself for a runbook that is open."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsnb.config.file import load_config
from opsnb.config.places import state_home
from opsnb.records.store import Store
from tests.lab.jupyterlab import jupyterlab, until

PAUSE = "queues/pause.ipynb"
SESSION = {"path": PAUSE, "type": "notebook", "name": "pause.ipynb"}


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))


@contextmanager
def server(log: Path, *opening: str) -> Iterator[httpx.Client]:
    """Yield a client of the server of a JupyterLab that has been opened so."""
    with jupyterlab(log, "open", "queues/pause", "-t", "local", "--apply", *opening) as lab:
        found = re.match(r"(http://[^/]+)/.*token=(\w+)", lab.url)
        assert found
        headers = {"Authorization": f"token {found[2]}"}
        with httpx.Client(base_url=found[1], headers=headers, timeout=60) as client:
            yield client
        lab.end()
    assert "Traceback" not in lab.told


def records() -> list[str]:
    return [result.run_id for result in Store(load_config().store).results()]


def pause() -> Path:
    """Return the working copy."""
    (path,) = (state_home() / "lab").glob(f"*/{PAUSE}")
    return path


def executed(client: httpx.Client) -> dict[str, Any]:
    """Return the copy as it is after one of its cells was run."""
    model: dict[str, Any] = client.get(f"/api/contents/{PAUSE}").raise_for_status().json()
    cell = next(each for each in model["content"]["cells"] if each["cell_type"] == "code")
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "run"}]
    cell["execution_count"] = 1
    return {key: model[key] for key in ("type", "format", "content")}


def test_a_forgotten_window_gives_its_lock_back(tmp_path: Path) -> None:
    lock = Path(load_config().store, ".locks", "local.json")
    with server(tmp_path / "log", "--Records.idle_s=1") as client:
        asked = client.post("/api/sessions", json=SESSION)
        assert asked.status_code == 201
        assert lock.exists()
        until(lambda: not lock.exists())


def test_what_was_run_elsewhere_makes_no_second_record(tmp_path: Path) -> None:
    with server(tmp_path / "log") as client:
        client.post("/api/sessions", json=SESSION).raise_for_status()
        notebook = executed(client)
        client.put(f"/api/contents/{PAUSE}", json=notebook).raise_for_status()
        (run_id,) = until(records)
        client.post("/api/contents/queues", json={"copy_from": PAUSE}).raise_for_status()
        client.put("/api/contents/queues/mine.ipynb", json=notebook).raise_for_status()
        # Saves are seen to in the order in which they are made.
        client.put(f"/api/contents/{PAUSE}", json=notebook).raise_for_status()
        assert records() == [run_id]
    assert records() == [run_id]


def opened(client: httpx.Client) -> dict[str, Any]:
    """Return the copy as a page gets it; what JupyterLab knows of the file fits the disk."""
    page: dict[str, str | int] = {"type": "notebook", "content": 1, "hash": 1}
    model: dict[str, Any] = client.get(f"/api/contents/{PAUSE}", params=page).json()
    assert model["hash"] == hashlib.sha256(pause().read_bytes()).hexdigest()
    shown = datetime.fromisoformat(model["last_modified"]).timestamp()
    assert shown == pytest.approx(pause().stat().st_mtime, abs=0.001)
    return model


def test_a_copy_at_work_is_shown_disarmed_and_its_file_stays(tmp_path: Path) -> None:
    """The pages that show it would ask whether to give up what they hold for a changed file."""
    lock = Path(load_config().store, ".locks", "local.json")
    with server(tmp_path / "log") as client:
        assert "apply: Apply = True" in json.dumps(opened(client))
        client.post("/api/sessions", json=SESSION).raise_for_status()
        armed = pause().read_text()
        assert "apply: Apply = True" in armed
        client.get(f"/nbconvert/html/{PAUSE}").raise_for_status()
        assert "apply: Apply = True" in client.get(f"/api/contents/{PAUSE}").text
        assert lock.exists()
        assert "apply: Apply = False" in json.dumps(opened(client))
        assert pause().read_text() == armed
        until(lambda: not lock.exists())


def test_what_leaves_an_armed_copy_only_plans(tmp_path: Path) -> None:
    with server(tmp_path / "log") as client:
        opened(client)
        armed = pause().read_text()
        assert "apply: Apply = True" in armed
        made = client.post("/api/contents/queues", json={"copy_from": PAUSE}).raise_for_status()
        duplicate = pause().parent / Path(made.json()["path"]).name
        leaving = [
            duplicate.read_text(),
            client.get(f"/files/{PAUSE}").raise_for_status().text,
            client.get(f"/nbconvert/script/{PAUSE}").raise_for_status().text,
            client.get(f"/nbconvert/notebook/{PAUSE}").raise_for_status().text,
        ]
        for text in leaving:
            assert "apply: Apply = False" in text
            assert "apply: Apply = True" not in text
        assert '"armed"' not in leaving[0]
        assert pause().read_text() == armed


def test_only_a_page_that_opens_it_empties_a_copy_without_a_kernel(tmp_path: Path) -> None:
    with server(tmp_path / "log") as client:
        opened(client)
        session = client.post("/api/sessions", json=SESSION).raise_for_status().json()
        client.put(f"/api/contents/{PAUSE}", json=executed(client)).raise_for_status()
        until(records)
        client.delete(f"/api/sessions/{session['id']}").raise_for_status()
        saved = pause().read_bytes()
        assert b'"run"' in saved
        client.get(f"/nbconvert/html/{PAUSE}").raise_for_status()
        client.get(f"/files/{PAUSE}").raise_for_status()
        client.get(f"/api/contents/{PAUSE}", params={"type": "file", "hash": 1}).raise_for_status()
        client.post("/api/contents/queues", json={"copy_from": PAUSE}).raise_for_status()
        assert pause().read_bytes() == saved
        opened(client)
        assert b'"run"' not in pause().read_bytes()
