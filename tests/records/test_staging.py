"""A run whose runner was killed has a record, however far the record had been written."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from opsnb.config.places import state_folder
from opsnb.errors import ConfigError
from opsnb.records import staging
from opsnb.records.recovery import reap
from opsnb.records.staging import Stage, is_going_on
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.records.test_store import make_notebook, make_result


@pytest.mark.parametrize("kind", ["folder", "remote"])
def test_a_runner_that_was_killed_while_saving_has_a_record(tmp_path: Path, kind: str) -> None:
    url = str(tmp_path / "store") if kind == "folder" else f"memory://{uuid.uuid4().hex}"
    store, result = Store(url), make_result(error="The run was killed before its end.")
    runner = os.fork()
    if not runner:
        Stage.open(store, result, make_notebook(result), Redactor())
        os._exit(0)
    os.waitpid(runner, 0)
    assert is_going_on(result.run_id)
    assert is_going_on(result.run_id[-4:])
    begun = f"{url}/{result.run_id[:4]}/{result.run_id[4:6]}/{result.run_id}"
    if kind == "folder":
        begun = f"{url}/.writing/{result.run_id}"
    with fsspec.open(f"{begun}/record.ipynb", "w", auto_mkdir=True) as file:
        file.write("{")
    assert reap(store) == [result.run_id]
    assert store.result(result.run_id).error == result.error
    assert store.notebook(result.run_id)["cells"]
    assert not is_going_on(result.run_id)
    assert reap(store) == []


def test_a_run_of_another_container_is_over_when_its_runner_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process cannot be seen from here; the file that it held can."""
    store, result = Store(str(tmp_path / "store")), make_result()
    ready, go_on = os.pipe(), os.pipe()
    runner = os.fork()
    if not runner:
        stage = Stage.open(store, result, make_notebook(result), Redactor())
        path = stage.folder / "run.json"
        run = json.loads(path.read_text())
        run["holders"][0]["namespace"] = "of another container"
        path.write_text(json.dumps(run))
        os.write(ready[1], b"1")
        os.read(go_on[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    monkeypatch.setattr(staging, "_KERNEL_ENDS_S", 0.2)
    assert reap(store) == []
    time.sleep(0.3)
    assert reap(store) == []
    os.write(go_on[1], b"1")
    os.waitpid(runner, 0)
    assert reap(store) == []  # its kernel may still be ending
    time.sleep(0.3)
    assert reap(store) == [result.run_id]


def test_a_folder_that_was_never_whole_is_swept_once_it_is_old(tmp_path: Path) -> None:
    home = state_folder(staging.home().name)
    for name, age_s in (("old", 7200), ("new", 0)):
        (home / name).mkdir()
        os.utime(home / name, (time.time() - age_s,) * 2)
    assert reap(Store(str(tmp_path / "store"))) == []
    assert [path.name for path in home.iterdir() if path.is_dir()] == ["new"]


def test_a_run_never_removes_the_folder_of_another(tmp_path: Path) -> None:
    store, result = Store(str(tmp_path / "store")), make_result()
    first = Stage.open(store, result, make_notebook(result), Redactor())
    with pytest.raises(ConfigError, match="File exists"):
        Stage.open(store, result, make_notebook(result), Redactor())
    assert (first.folder / "run.json").exists()
