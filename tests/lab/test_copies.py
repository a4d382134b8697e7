"""Working copies: fresh, private, disarmed when they are opened again, and gone in the end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from opsnb import catalog
from opsnb.config.places import state_home
from opsnb.lab import cells, copies

PAUSE = catalog.runbook("queues/pause")


@pytest.fixture
def folder() -> Path:
    return copies.working_folder()


def fresh(folder: Path, *, armed: bool = False) -> Path:
    values = PAUSE.validate({"target": "prod", "apply": armed, "confirm": "prod" if armed else ""})
    return folder / copies.fresh(folder, PAUSE, values, armed=armed)


def state_of(copy: Path) -> tuple[Any, Any]:
    found = cells.parameters(json.loads(copy.read_text()))
    return found["apply"], found["confirm"]


def run(copy: Path) -> dict[str, Any]:
    """Have a cell of the copy run while it is armed, and save it; return what was saved."""
    notebook: dict[str, Any] = json.loads(copy.read_text())
    cells.fill_in(notebook, {"apply": True, "confirm": "prod"})
    output = {"output_type": "stream", "name": "stdout", "text": "paused"}
    notebook["cells"][-2].update(outputs=[output], execution_count=3)
    copy.write_text(json.dumps(notebook))
    return notebook


def test_each_opening_is_a_file_of_its_own_and_the_original_is_left_alone(folder: Path) -> None:
    original = PAUSE.path.read_bytes()
    first, second = fresh(folder), fresh(folder)
    assert [copy.name for copy in (first, second)] == ["pause.ipynb", "pause-2.ipynb"]
    assert state_of(first) == state_of(second) == (False, "")
    assert PAUSE.path.read_bytes() == original
    found = copies.runbook_of(json.loads(first.read_text()))
    assert found
    assert found.id == PAUSE.id


def test_nobody_else_can_read_them(folder: Path) -> None:
    copy = fresh(folder)
    for place, mode in ((folder.parent, 0o700), (folder, 0o700), (copy, 0o600)):
        assert place.stat().st_mode & 0o777 == mode
    folder.parent.chmod(0o755)  # as an older opsnb made it
    copies.working_folder()
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_copy_that_acted_only_plans_when_it_is_opened_again(folder: Path) -> None:
    copy = fresh(folder)
    saved = run(copy)
    assert copies.opened(copy, goes_on=True)
    assert state_of(copy) == (False, "")
    assert json.loads(copy.read_text())["cells"][-2] == saved["cells"][-2]
    assert not copies.opened(copy, goes_on=True)
    copies.opened(copy, goes_on=False)
    assert json.loads(copy.read_text())["cells"][-2]["outputs"] == []


def test_what_is_opened_armed_is_so_only_the_first_time(folder: Path) -> None:
    copy = fresh(folder, armed=True)
    copies.opened(copy, goes_on=False)
    assert state_of(copy) == (True, "prod")
    copies.opened(copy, goes_on=False)
    assert state_of(copy) == (False, "")


def test_a_notebook_of_ones_own_is_never_changed(folder: Path) -> None:
    own = folder / "own.ipynb"
    own.write_text(json.dumps({"cells": [], "metadata": {"opsnb": "mine"}}))
    before = own.read_bytes()
    assert not copies.opened(own, goes_on=False)
    assert own.read_bytes() == before


def end(folder: Path) -> None:
    """Have the JupyterLab of the folder be over."""
    holder = folder / ".holder.json"
    holder.write_text(holder.read_text().replace(str(os.getpid()), "999999999"))


def make_old(folder: Path) -> None:
    long_ago = time.time() - 30 * 86_400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (long_ago, long_ago))


def age(folder: Path) -> None:
    """Have the folder be old, and its JupyterLab ended."""
    end(folder)
    make_old(folder)


def test_old_copies_that_are_recorded_or_were_only_read_are_removed(folder: Path) -> None:
    fresh(folder)
    copies.note_recorded(folder, run(fresh(folder)), "20261128T000000Z-queues.pause-prod-0001")
    age(folder)
    copies.prune()
    assert not folder.exists()


def test_a_copy_that_was_disarmed_since_its_record_is_still_recorded(folder: Path) -> None:
    copy = fresh(folder)
    copies.note_recorded(folder, run(copy), "20261128T000000Z-queues.pause-prod-0001")
    copies.opened(copy, goes_on=True)
    age(folder)
    copies.prune()
    assert not folder.exists()


def test_an_old_copy_that_has_no_record_stays(folder: Path) -> None:
    fresh(folder)
    copy = fresh(folder)
    run(copy)
    age(folder)
    copies.prune()
    assert [path.name for path in (folder / "queues").iterdir()] == [copy.name]


def test_an_old_copy_whose_record_is_still_to_be_written_stays(folder: Path) -> None:
    copy = fresh(folder)
    copies.note_recorded(folder, run(copy), "20261128T000000Z-queues.pause-prod-0001")
    stage = state_home() / "running" / "20261128T000000Z-queues.pause-prod-0001"
    stage.mkdir(parents=True)
    age(folder)
    copies.prune()
    assert copy.exists()


def test_a_file_of_ones_own_keeps_its_folder(folder: Path) -> None:
    (folder / "notes.txt").write_text("call Kim")
    age(folder)
    copies.prune()
    assert (folder / "notes.txt").exists()


def test_what_is_open_or_young_stays(folder: Path) -> None:
    # Two that this process makes within one second are the same folder.
    is_open = folder.rename(folder.with_name("20260101T000000Z-1"))
    make_old(is_open)
    young = copies.working_folder()
    end(young)
    copies.prune()
    assert is_open.exists()
    assert young.exists()
    end(is_open)
    make_old(is_open)
    copies.prune()
    assert not is_open.exists()
