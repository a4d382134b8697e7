"""A run leaves a record and the right exit code, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from opsnb.catalog import RunbookInfo
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import ConfigError
from opsnb.headless.order import Order
from opsnb.headless.run import run as run_alone
from opsnb.machine import interrupts
from opsnb.model import RunResult, Status
from opsnb.records.ending import word
from opsnb.records.extract import rebuild
from opsnb.records.store import Store
from tests.records.test_store import as_in_notebook
from tests.runs import run

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
FINDING = """
from IPython.display import publish_display_data
from opsnb.model import FINDING_MIME, Finding, Status
finding = Finding(name="test.one", status=Status("{status}"), message="As told.")
publish_display_data({{FINDING_MIME: finding.model_dump(mode="json"), "text/plain": "As told."}})
"""


def runbook(folder: Path, *cells: str) -> RunbookInfo:
    notebook = new_notebook(
        cells=[new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": KERNEL},
    )
    path = folder / "one.ipynb"
    nbformat.write(notebook, path)
    return RunbookInfo("test/one", path)


def kept(result: RunResult) -> tuple[RunResult, dict[str, object]]:
    store = Store(load_config().store)
    return store.result(result.run_id), store.notebook(result.run_id)


@pytest.mark.parametrize(
    ("status", "code"), [("ok", 0), ("warn", 1), ("crit", 2), ("unknown", 3), ("skipped", 3)]
)
def test_the_exit_code_tells_the_worst_finding(tmp_path: Path, status: str, code: int) -> None:
    cells = [FINDING.format(status="ok")] if status not in ("ok", "skipped") else []
    info = runbook(tmp_path, *cells, FINDING.format(status=status))
    result = run(Order(info, Target(name="here")))
    assert result.exit_code == code
    assert result.findings[-1].status == status
    stored, notebook = kept(result)
    assert stored == result
    assert rebuild(notebook) == as_in_notebook(result)


def test_a_run_in_which_no_check_ran_is_no_success(tmp_path: Path) -> None:
    result = run(Order(runbook(tmp_path, "1 + 1"), Target(name="here")))
    assert (result.status, result.exit_code) == (Status.UNKNOWN, 3)


HUGE = {
    "html": "from IPython.display import HTML, display; display(HTML('<p>' * 10_000_000))",
    "text": "print('x y ' * 8_000_000)",
    "json": "display({'application/json': [{'a': n} for n in range(10**6)]}, raw=True)",
    "error": "raise ValueError('e f ' * 5_000_000)",
}


@pytest.mark.parametrize("form", HUGE)
def test_an_output_of_any_size_ends_no_run_and_fills_no_record(tmp_path: Path, form: str) -> None:
    info = runbook(tmp_path, FINDING.format(status="ok"), HUGE[form])
    result = run(Order(info, Target(name="here")))
    assert result.exit_code == (70 if form == "error" else 0)
    record = Path(Store(load_config().store).folder(result.run_id), "record.ipynb")
    assert record.stat().st_size < 1_000_000
    assert "opsnb left out" in record.read_text()


def test_a_notebook_that_raises_keeps_what_it_found_with_the_failure_on_top(
    tmp_path: Path,
) -> None:
    cells = (FINDING.format(status="ok"), "raise ValueError('no such thing')", "1 + 1")
    result = run(Order(runbook(tmp_path, *cells), Target(name="here")))
    assert result.exit_code == 70
    assert result.error == "Cell [2] raised ValueError: no such thing"
    assert [finding.name for finding in result.findings] == ["test.one"]
    assert result.status is Status.UNKNOWN
    _, notebook = kept(result)
    top = "".join(notebook["cells"][0]["source"])  # type: ignore[index]
    assert top == "**Broke.** Cell [2] raised ValueError: no such thing"
    assert "An Exception was encountered" not in json.dumps(notebook)


def test_a_kernel_that_dies_leaves_a_record(tmp_path: Path) -> None:
    cells = (FINDING.format(status="warn"), "import os; os.kill(os.getpid(), 9)")
    # A kernel of its own: its end is learnt in another way than that of a forked one.
    order = Order(runbook(tmp_path, *cells), Target(name="here"))
    result = run_alone(order, load_config())
    assert result.exit_code == 70
    assert result.error is not None
    assert "kernel died" in result.error
    assert [finding.status for finding in kept(result)[0].findings] == [Status.WARN]


def test_the_time_limit_stops_a_run_and_keeps_what_it_had_done(tmp_path: Path) -> None:
    cells = (
        FINDING.format(status="ok"),
        "import time\ntry:\n    time.sleep(60)\nfinally:\n    print('put back')",
    )
    order = Order(runbook(tmp_path, *cells), Target(name="here"), timeout_s=4)
    result = run(order)
    assert result.exit_code == 124
    stored, notebook = kept(result)
    assert [finding.name for finding in stored.findings] == ["test.one"]
    assert "put back" in json.dumps(notebook)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_keeps_its_record_and_leaves_no_kernel(
    tmp_path: Path, number: signal.Signals
) -> None:
    started = tmp_path / "started"
    cell = (
        f"import os, pathlib, time\n"
        f"pathlib.Path({str(started)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    info = runbook(tmp_path, FINDING.format(status="ok"), cell)
    script = (
        "import sys; from pathlib import Path; from opsnb.catalog import RunbookInfo;"
        "from opsnb.config.file import load_config; from opsnb.config.target import Target;"
        "from opsnb.headless.order import Order;"
        "from opsnb.headless.run import run;"
        "from opsnb.machine.interrupts import noted; import signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # which is ignored under nohup
        f"info = RunbookInfo('test/one', Path({str(info.path)!r}))\n"
        "with noted() as stopped:\n"
        "    result = run(Order(info, Target(name='here')), load_config(), stopped)\n"
        "sys.exit(result.exit_code)"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    while not (started.exists() and started.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    (stored,) = Store(load_config().store).results()
    assert (stored.error, word(stored)) == (interrupts.sentence(number), "Interrupted")
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_no_cell_begins_once_a_run_is_to_end(tmp_path: Path) -> None:
    """The signal comes before there is a kernel that could be interrupted."""
    info = runbook(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')")
    result = run_alone(Order(info, Target(name="here")), load_config(), [signal.SIGTERM])
    assert (result.exit_code, result.error) == (130, "The run was stopped (SIGTERM).")
    assert not (tmp_path / "ran").exists()


def test_secrets_of_the_environment_and_the_target_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2-hunter2")
    target = Target(name="here").changed(redis_url="redis://:s3cret-of-redis@127.0.0.1:1/0")
    cells = ("print('hunter2-hunter2')", "raise ValueError('s3cret-of-redis')")
    result = run(Order(runbook(tmp_path, *cells), target))
    assert "s3cret" not in result.model_dump_json()
    for path in Path(load_config().store).rglob("*"):
        if path.is_file():
            assert "hunter2" not in path.read_text()
            assert "s3cret" not in path.read_text()


def test_the_parameters_reach_the_notebook(tmp_path: Path) -> None:
    notebook = new_notebook(
        cells=[
            new_code_cell("queue: str = 'a'", metadata={"tags": ["parameters"]}),
            new_code_cell('assert queue == "it\'s 007", queue'),
            new_code_cell(FINDING.format(status="ok")),
        ],
        metadata={"kernelspec": KERNEL},
    )
    nbformat.write(notebook, tmp_path / "one.ipynb")
    info = RunbookInfo("test/one", tmp_path / "one.ipynb")
    result = run(Order(info, Target(name="here"), {"queue": "it's 007"}))
    assert (result.exit_code, result.error) == (0, None)


def test_a_store_that_cannot_be_written_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the store should be")
    monkeypatch.setenv("OPSNB_RECORDS", str(blocked))
    ran = tmp_path / "ran"
    info = runbook(tmp_path, f"open({str(ran)!r}, 'w')")
    with pytest.raises(ConfigError, match="is not a folder"):
        run(Order(info, Target(name="here")))
    assert not ran.exists()


def test_a_store_that_fails_in_the_end_loses_nothing(tmp_path: Path) -> None:
    store = Path(load_config().store)
    cell = f"import shutil; shutil.rmtree({str(store)!r}); open({str(store)!r}, 'w').close()"
    info = runbook(tmp_path, FINDING.format(status="ok"), cell)
    result = run(Order(info, Target(name="here")))
    assert result.exit_code == 70
    assert [finding.name for finding in result.findings] == ["test.one"]
    assert f"the record is kept in {result.location}" in str(result.error)
    assert "As told." in Path(result.location, "record.ipynb").read_text()


def test_a_notebook_that_ends_itself_early_is_no_success(tmp_path: Path) -> None:
    cells = (FINDING.format(status="ok"), "import sys; sys.exit(0)", "1 + 1")
    result = run(Order(runbook(tmp_path, *cells), Target(name="here")))
    assert (result.exit_code, result.error) == (
        70,
        "The notebook ended itself before its last cell.",
    )


@pytest.mark.parametrize(("error", "code"), [("UsageError", 64), ("Refused", 77)])
def test_what_a_runbook_refuses_has_its_own_exit_code(
    tmp_path: Path, error: str, code: int
) -> None:
    info = runbook(tmp_path, f"from opsnb.errors import {error}\nraise {error}('Say which.')")
    result = run(Order(info, Target(name="here")))
    assert (result.exit_code, result.error) == (code, "Nothing was changed: Say which.")
