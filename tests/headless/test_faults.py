"""What goes wrong around a run: each fault has one clear sentence, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsnb.catalog import RunbookInfo
from opsnb.config.file import load_config
from opsnb.config.places import state_home
from opsnb.config.target import Target
from opsnb.errors import ConfigError
from opsnb.headless import execute
from opsnb.headless import order as orders
from opsnb.headless import result as results
from opsnb.headless.order import Order
from opsnb.model import RunResult
from opsnb.records.ending import word
from opsnb.records.extract import rebuild
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from tests.headless import notebook
from tests.headless.test_run import FINDING
from tests.records.test_store import as_in_notebook
from tests.runs import run

OK = FINDING.format(status="ok")


def order(folder: Path, *cells: str, **options: Any) -> Order:
    path = notebook.write(folder / "one.ipynb", *cells, **options.pop("metadata", {}))
    return Order(RunbookInfo("test/one", path), Target(name="here"), **options)


def kept(result: RunResult) -> str:
    return json.dumps(Store(load_config().store).notebook(result.run_id))


def test_a_store_that_fills_up_meanwhile_loses_nothing(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSNB_RECORDS", str(small_disk))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    cell = f"from tests.headless.test_faults import fill; fill({str(small_disk)!r})"
    result = run(order(tmp_path, OK, cell))
    assert result.exit_code == 70
    assert result.error is not None
    assert "No space left on device. Free space there" in result.error
    assert f"the record is kept in {result.location}" in result.error
    assert "As told." in Path(result.location, "record.ipynb").read_text()
    (small_disk / "filled").unlink()
    assert_brought_home(result)


def assert_brought_home(told: RunResult) -> None:
    """Assert that the record comes to the store, once, and says how the run itself ended."""
    store = Store(load_config().store)
    assert reap(store) == [told.run_id]
    assert reap(store) == []
    kept = store.result(told.run_id)
    assert (kept.exit_code, kept.error, kept.findings) == (0, None, told.findings)
    assert "could not be written when the run ended" in kept.kept_late
    assert rebuild(store.notebook(told.run_id)) == as_in_notebook(kept)
    assert not list((state_home() / "spool").glob("*/"))


def test_a_store_that_becomes_read_only_meanwhile_loses_nothing(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSNB_RECORDS", str(small_disk))
    command = ["mount", "-o", "remount,ro", str(small_disk)]
    result = run(order(tmp_path, OK, f"import subprocess; subprocess.run({command!r})"))
    assert result.exit_code == 70
    assert "Read-only file system. Make it writable" in str(result.error)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert_brought_home(result)


@pytest.mark.parametrize("left", ["a file", "a loop"])
def test_a_store_and_a_state_folder_that_are_gone_meanwhile_leave_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """Nothing but the temporary folder is left, and the run says where its notebook is."""
    store, state = tmp_path / "store", tmp_path / "state"
    monkeypatch.setenv("OPSNB_RECORDS", str(store))
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    put = "open(path, 'w').close()" if left == "a file" else "os.symlink(path, path)"
    paths = [str(store), str(state)]
    cell = f"import os, shutil\nfor path in {paths!r}:\n    shutil.rmtree(path)\n    {put}"
    result = run(order(tmp_path, OK, cell))
    assert result.exit_code == 70
    assert f"The executed notebook is {result.location}/record.ipynb" in str(result.error)
    assert "The journal of its actions could not be read" in str(result.error)
    assert "As told." in Path(result.location, "record.ipynb").read_text()
    shutil.rmtree(result.location)


def test_a_read_only_store_is_refused_before_anything_is_started(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSNB_RECORDS", str(small_disk))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(ConfigError, match=r"Read-only file system\. Make it writable"):
        run(order(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')"))
    assert not (tmp_path / "ran").exists()


def test_no_room_for_the_run_itself_is_one_sentence(small_disk: Path, tmp_path: Path) -> None:
    info = order(tmp_path, OK).runbook
    fill(small_disk)
    script = (
        "import sys; from pathlib import Path; from opsnb.catalog import RunbookInfo;"
        "from opsnb.errors import OpsnbError\n"
        "from opsnb.config.file import load_config\n"
        "from opsnb.config.target import Target\n"
        "from opsnb.headless.order import Order\n"
        "from opsnb.headless.run import run\n"
        f"order = Order(RunbookInfo('test/one', Path({str(info.path)!r})), Target(name='here'))\n"
        "try:\n    print(run(order, load_config()).error)\n"
        "except OpsnbError as error:\n    print(error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "XDG_STATE_HOME": str(small_disk)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "No space left on device" in told.stdout
    assert told.stdout.count("\n") == 1
    assert told.stderr == ""


def fill(folder: str | Path) -> None:
    with Path(folder, "filled").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1024)):
                pass
        except OSError:
            return


def test_a_clock_that_is_set_back_makes_no_negative_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(datetime(2026, 11, 23, tzinfo=UTC) - timedelta(hours=hour) for hour in range(99))
    monkeypatch.setattr(results, "now", lambda: next(clock))
    result = run(order(tmp_path, OK))
    assert (result.exit_code, result.seconds) == (0, 0)
    assert result.finished == result.started


def test_output_without_measure_is_kept_at_both_ends(tmp_path: Path) -> None:
    result = run(order(tmp_path, OK, "print('begins' + 'x' * 5_000_000 + 'ends')"))
    assert result.exit_code == 0
    text = kept(result)
    assert len(text) < 300_000
    assert "beginsx" in text
    assert "xends" in text
    assert "opsnb left out 4.7 MB of output here" in text


@pytest.mark.parametrize("levels", [150, 400])
def test_output_that_is_nested_too_deep_is_left_out(tmp_path: Path, levels: int) -> None:
    cell = (
        "from IPython.display import display\n"
        "deep = 1\n"
        f"for _ in range({levels}): deep = [deep]\n"
        "display({'application/json': deep, 'text/plain': 'beside it'}, raw=True)"
    )
    result = run(order(tmp_path, OK, cell, OK))
    assert (result.exit_code, result.error, len(result.findings)) == (0, None, 2)
    record = kept(result)
    assert "opsnb left out what is nested deeper than 64 levels here" in record
    assert "beside it" in record


def test_a_cell_that_does_not_heed_the_interrupt_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "GRACE_S", 4)
    pids = tmp_path / "pids"
    cell = (
        "import os, pathlib, signal, subprocess, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        "while True:\n"
        "    try:\n        time.sleep(600)\n"
        "    except KeyboardInterrupt:\n        pass"
    )
    result = run(order(tmp_path, OK, cell, timeout_s=3))
    assert result.exit_code == 124
    assert str(result.error).startswith("Timed out after 3 s in cell 2. To allow more time")
    assert "Cell 2 ignored the interrupt and was killed" in str(result.error)
    assert [finding.name for finding in result.findings] == ["test.one"]
    for pid in pids.read_text().split():
        assert not alive(int(pid))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_notebook_that_is_deleted_while_it_runs_has_a_whole_record(tmp_path: Path) -> None:
    wanted = order(tmp_path, f"import os; os.unlink({str(tmp_path / 'one.ipynb')!r})", OK)
    result = run(wanted)
    assert (result.exit_code, result.error) == (0, None)
    assert "os.unlink" in kept(result)


def test_a_notebook_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    wanted = order(tmp_path, OK)
    wanted.runbook.path.unlink()
    with pytest.raises(ConfigError, match=r"cannot be read: No such file.*Restore it from git\."):
        run(wanted)


@pytest.mark.parametrize(
    ("own", "error"),
    [
        (
            {"timeout_s": 3},
            "Timed out after 3 s in cell 2. To allow more time, set --timeout SECONDS.",
        ),
        (
            {"cell_timeout_s": 2},
            "Timed out after 2 s in cell 2. To allow more time, set cell_timeout_s in the "
            "notebook's metadata.",
        ),
    ],
)
def test_a_notebook_sets_its_own_limits(tmp_path: Path, own: dict[str, int], error: str) -> None:
    slow = "import time\ntry:\n    time.sleep(600)\nfinally:\n    print('put back')"
    result = run(order(tmp_path, OK, slow, metadata={"opsnb": own}))
    assert (result.exit_code, result.error) == (124, error)
    assert "put back" in kept(result)


def test_a_run_that_says_nothing_of_its_time_has_a_limit_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "LIMIT_S", 3)
    result = run(order(tmp_path, OK, "import time; time.sleep(600)"))
    assert (result.exit_code, word(result)) == (124, "Timed out")
    top = Store(load_config().store).notebook(result.run_id)["cells"][0]["source"]
    assert top == f"**Timed out.** {result.error}"


def test_the_limit_of_a_cell_is_each_ones_own(tmp_path: Path) -> None:
    cells = ["import time; time.sleep(0.9)"] * 4
    wanted = order(tmp_path, OK, *cells, metadata={"opsnb": {"cell_timeout_s": 3}})
    assert run(wanted).exit_code == 0
