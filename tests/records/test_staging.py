"""A run whose runner was killed has a record, however far the record had been written."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import fsspec
import pytest

from opsnb.records import Stage, Store, is_going_on, reap
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
