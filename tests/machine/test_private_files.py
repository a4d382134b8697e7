"""Nobody but the user reads what opsnb keeps; a team's store is as open as it was made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb.config.places import state_folder, state_home
from opsnb.lab.copies import working_folder
from opsnb.machine import private_files
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.records.test_store import make_notebook, make_result


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, int]:
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    return {str(path.relative_to(root)): mode for path, mode in found.items()}


def keep(root: Path) -> None:
    store, result = Store(str(root)), make_result()
    store.demand_writable()
    store.keep(result, make_notebook(result), Redactor())
    store.update(result, make_notebook(result), Redactor())
    store.shared.create(".locks/demo.json", "{}")
    store.shared.exchange(".locks/demo.json", lambda _: True, "{ }")


@pytest.mark.parametrize("made", [None, 0o700, 0o755, 0o777])
def test_a_store_is_its_users_alone(tmp_path: Path, made: int | None) -> None:
    root = tmp_path / "store"
    if made:
        root.mkdir()
        root.chmod(made)
    keep(root)
    others = 0o007 if made == 0o777 else 0o077  # that one lets its group write
    assert {name: mode for name, mode in modes(root).items() if mode & others} == {}


@pytest.mark.parametrize("made", [0o2770, 0o2775, 0o770])
def test_a_store_that_was_made_for_a_group_stays_open_to_it(tmp_path: Path, made: int) -> None:
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(made)
    keep(root)
    folder = made & 0o2770
    expected = {name: folder if (root / name).is_dir() else 0o660 for name in modes(root)}
    assert modes(root) == expected


def test_a_group_that_may_only_read_reads_the_records(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o750)
    keep(root)
    assert set(modes(root).values()) == {0o750, 0o640}


def test_the_state_folder_is_closed_though_it_was_made_wider() -> None:
    (state_home() / "running" / "old").mkdir(parents=True)
    state_folder("running")
    assert modes(state_home())["."] == modes(state_home())["running"] == 0o700


def test_a_working_copy_is_closed_with_all_that_it_has() -> None:
    (state_home() / "lab").mkdir(parents=True)
    folder = working_folder()
    found = modes(state_home())
    assert found["lab"] == 0o700
    assert {name: mode for name, mode in modes(folder).items() if mode & 0o077} == {}


def test_a_file_is_replaced_whole_and_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    private_files.write(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]
