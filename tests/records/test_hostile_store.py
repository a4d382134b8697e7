"""What somebody else has put into a store delays nobody, crashes nothing, and is not believed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opsnb.cli.commands import app
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import RunBroke
from opsnb.model import RunResult
from opsnb.records import show
from opsnb.records.reader import past_runs
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.records.test_store import START, keep, make_notebook, make_result


@pytest.fixture
def store() -> Store:
    return Store(load_config().store)


def folder_of(store: Store, result: RunResult) -> Path:
    return Path(store.folder(result.run_id))


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket's path is short.
        handle = os.open(path.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{handle}/{path.name}")
        os.close(handle)


def as_loop(path: Path) -> None:
    path.symlink_to(path.name)


def as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_folder(path: Path) -> None:
    path.mkdir()


def as_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


def as_text(text: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(text)

    return write


FILES: dict[str, Callable[[Path], None]] = {
    "a named pipe": as_fifo,
    "a socket": as_socket,
    "a symbolic link to itself": as_loop,
    "a symbolic link to a device": as_device,
    "a folder": as_folder,
    "a terabyte": as_sparse,
    "100 MB": as_text(b" " * 100_000_000),
    "3,000 brackets": as_text(b'{"parameters": ' + b"[" * 3000 + b"]" * 3000 + b"}"),
    "nothing": as_text(b""),
    "no UTF-8": as_text(b'{"run_id": "\xff\xfe"}'),
    "no object": as_text(b"[1, 2]"),
    "no JSON": as_text(b"\0\0\0"),
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("name", ["result.json", "record.ipynb"])
def test_what_is_no_file_of_a_record_is_named_and_the_rest_is_shown(
    store: Store, name: str, what: str
) -> None:
    good = make_result()
    keep(store, good)
    keep(store, bad := make_result(START + timedelta(days=1)))
    path = folder_of(store, bad) / name
    path.unlink()
    FILES[what](path)
    if name == "record.ipynb":
        with pytest.raises(RunBroke, match=bad.run_id):
            store.notebook(bad.run_id)
        return
    assert [run.run_id for run in store.results()] == [good.run_id]
    assert bad.run_id in store.broken[bad.run_id]
    listed = CliRunner().invoke(app, ["records", "list"])
    assert listed.exit_code == 0
    assert good.run_id in listed.output
    assert bad.run_id in listed.stderr
    shown = list(past_runs(Target(name="demo"), START - timedelta(days=1)))
    assert [run.run_id for run in shown] == [good.run_id]
    assert store.reindex() == ([] if what == "a folder" else [bad.run_id])


LIES: dict[str, dict[str, Any]] = {
    "another run": {"run_id": "20261123T071500Z-health.daily-demo-ffff"},
    "a path": {"run_id": "../../../elsewhere/evil"},
    "another runbook": {"runbook": "incidents/service_down"},
    "another target": {"target": "prod"},
    "a runbook that is a path": {"runbook": "../x"},
    "another day": {"started": "2031-01-01T00:00:00Z"},
    "no time zone": {"started": "2026-11-23T07:15:00"},
    "an infinite time": {"seconds": float("inf")},
    "no number": {"seconds": float("nan")},
    "a huge number": {"exit_code": 10**400},
    "a wrong type": {"parameters": [1]},
    "no status": {"status": "fine"},
}


@pytest.mark.parametrize("what", LIES)
def test_a_record_that_says_what_cannot_be_is_left_out_and_made_again(
    store: Store, what: str
) -> None:
    keep(store, result := make_result())
    path = folder_of(store, result) / "result.json"
    good = path.read_text()
    path.write_text(json.dumps(json.loads(good) | LIES[what]))
    assert list(store.results()) == []
    assert result.run_id in store.broken[result.run_id]
    with pytest.raises(RunBroke, match="is damaged"):
        store.result(result.run_id)
    assert store.reindex() == [result.run_id]
    assert json.loads(path.read_text()) == json.loads(good)


@pytest.mark.parametrize("field", ["parent", "fleet"])
def test_a_link_to_what_is_no_run_is_named(store: Store, field: str) -> None:
    result = make_result().model_copy(update={field: "javascript:alert(1)//"})
    store.keep(result, make_notebook(result), Redactor())
    assert [run.run_id for run in store.results()] == [result.run_id]
    assert field in store.broken[result.run_id]
    assert store.reindex() == []  # its notebook says the same
    assert "record.ipynb" in store.broken[result.run_id]


def test_a_record_in_another_month_is_named_as_misplaced(store: Store) -> None:
    keep(store, result := make_result())
    folder = folder_of(store, result)
    wrong = folder.parents[2] / "2025" / "03"
    wrong.mkdir(parents=True)
    folder.rename(wrong / folder.name)
    assert list(store.results()) == []
    assert "2025/03" in store.broken[result.run_id]


def test_month_that_cannot_be_listed_is_named(store: Store) -> None:
    keep(store, result := make_result())
    year = folder_of(store, result).parents[1]
    (year / "12").symlink_to("12")
    assert [run.run_id for run in store.results()] == [result.run_id]


@pytest.mark.parametrize(
    "cells",
    [None, [None], [{"cell_type": "code", "outputs": "x"}], [{"cell_type": "code", "source": 1}]],
)
def test_a_notebook_of_another_form_is_none(store: Store, cells: Any) -> None:
    keep(store, result := make_result())
    (folder_of(store, result) / "record.ipynb").write_text(json.dumps({"cells": cells}))
    with pytest.raises(RunBroke, match=result.run_id):
        store.notebook(result.run_id)


def test_a_summary_whose_rows_are_odd_can_be_shown(store: Store) -> None:
    result = make_result()
    result.fleet = result.run_id
    result.findings[0].name = "fleet.demo"
    result.findings[0].rows = [{"run": 7, "exit_code": "x"}]
    keep(store, result)
    assert show.record(store.result(result.run_id), "x")


def test_a_lock_file_that_is_a_pipe_delays_nobody(store: Store) -> None:
    store.shared.create(".locks/other.json", "")
    os.mkfifo(Path(store.url, ".locks", "shop.json"))
    assert not store.shared.create(".locks/shop.json", "mine")
    with pytest.raises(RunBroke, match="named pipe"):
        store.shared.read(".locks/shop.json")


def test_what_a_killed_writer_left_beside_an_open_record_is_swept(store: Store) -> None:
    keep(store, result := make_result())
    left = folder_of(store, result) / ".result.json.0123456789abcdef"
    left.write_text("{")
    store.sweep(result.run_id)
    assert sorted(path.name for path in left.parent.iterdir()) == ["record.ipynb", "result.json"]
