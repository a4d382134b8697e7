"""kill -9 of each process of a run at each moment: the record is true, and nothing is done twice.

The table in the documentation is what these tests have measured. After a change make it anew:
OPSNB_WRITE=1 pytest tests/headless/test_kill.py
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import UsageError
from opsnb.headless import resume
from opsnb.model import ActionRecord, ActionState, RunResult
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from tests.headless import moving
from tests.headless.notebook import write
from tests.processes import lives
from tests.runs import ROOT
from tests.runs import run as run_order

PAGE = ROOT / "docs/reference/kill-matrix.md"
RUNBOOK = "drill/move"
ALL = moving.ITEMS

MOMENTS = (
    "before the first cell",
    "between plan and apply",
    "during apply",
    "between apply and verify",
    "while saving after the cell",
    "while saving the record",
)
VICTIMS = ("runner", "kernel", "fork server")

# The command line on a repository of runbooks of the test's own, with a fork server as runs of
# several targets have it, and points to wait at where the record is saved.
OPSNB = """
import os, signal, sys
from pathlib import Path
from opsnb import catalog
from opsnb.cli import main
from tests.headless.moving import reach

catalog.share = lambda _: Path(os.environ["OPSNB_TEST_NOTEBOOKS"])

def watch(event, arguments):
    if event != "os.rename":
        return
    old, new = map(str, arguments[:2])
    if "/.writing/" in old:
        reach("while saving the record")
    elif "/running/" in new and new.endswith(".ipynb") and '"APPLIED' in Path(old).read_text():
        reach("while saving after the cell")

sys.addaudithook(watch)
if os.environ.get("OPSNB_TEST_FORKS"):
    from opsnb.headless import run
    from opsnb.headless.kernels.forkserver import ForkServer

    server = ForkServer(["import opsnb.runbook, redis"])
    run_alone = run.run
    run.run = lambda *given: run_alone(*given, server=server)
main()
"""


def run(what: str) -> tuple[str, ...]:
    return ("run", RUNBOOK, "-t", "demo", "-p", f"what={what}", "--apply", "--json")


@dataclass
class Place:
    """A record store and a runbook of the test's own, and the points at which runs wait."""

    folder: Path

    @property
    def wanted(self) -> Path:
        return self.folder / "wanted"

    @property
    def reached(self) -> Path:
        return self.folder / "reached"

    def start(self, *arguments: str, forks: bool = False) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "OPSNB_TEST_NOTEBOOKS": str(self.folder / "notebooks"),
            moving.POINTS: str(self.folder),
            "OPSNB_TEST_FORKS": "1" if forks else "",
        }
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-c", OPSNB, *arguments]
        return subprocess.Popen(command, env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]

    def opsnb(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        told, errors = process.communicate(timeout=120)
        return process.returncode, told, errors

    def strike(self, moment: str, victim: str, *arguments: str) -> RunResult | None:
        """Run opsnb, kill one process at a moment, and return the record; None if it was gone."""
        self.reached.unlink(missing_ok=True)
        self.wanted.write_text(moment)
        runner = self.start(*arguments, forks=victim == "fork server")
        wait_for(self.reached.exists, f"the moment {moment}")
        (run_id,) = (path.parent.name for path in self.folder.glob("state/**/run.json"))
        others = processes(runner.pid)
        struck = {"runner": runner.pid, **others}.get(victim)
        if struck:
            os.kill(struck, signal.SIGKILL)
            wait_for_end(struck)
        if victim == "runner" and moment != MOMENTS[0]:
            wait_for_end(*others.values())  # the kernel notices it, wherever it is
        self.wanted.unlink()
        told, _ = runner.communicate(timeout=60)
        wait_for_end(*others.values())
        result = self.result(run_id)
        assert not told or RunResult.model_validate_json(told) == result
        return result if struck else None

    def result(self, run_id: str) -> RunResult:
        """Return the record of a run, which any command keeps when nobody was left to do it."""
        store = Store(load_config().store)
        reap(store)
        (found,) = [result for result in store.results() if result.run_id == run_id]
        return found


@pytest.fixture
def place(tmp_path: Path, demo: Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    moving.forget(demo)
    monkeypatch.setattr(catalog, "share", lambda _: tmp_path / "notebooks")
    path = tmp_path / "notebooks" / f"{RUNBOOK}.ipynb"
    path.parent.mkdir(parents=True)
    write(path, moving.PARAMETERS, moving.BEGIN, moving.ACT, moving.LOOK)
    startup = tmp_path / "ipython/profile_default/startup/wait.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(
        "from tests.headless.moving import reach\nreach('before the first cell')\ndel reach\n"
    )
    yield Place(tmp_path)
    moving.forget(demo)


def wait_for(seen: Callable[[], Any], what: str) -> None:
    ends = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < ends, f"{what} did not come about"
        time.sleep(0.02)


def wait_for_end(*pids: int) -> None:
    wait_for(lambda: not any(map(lives, pids)), f"the end of {pids}")


def processes(runner: int) -> dict[str, int]:
    """Return the kernel of a runner, and the process that it was forked from, if it was."""
    found: dict[str, int] = {}
    for child in psutil.Process(runner).children():
        if "opsnb.headless.kernels.preloaded" in child.cmdline() and lives(child.pid):
            forked = [one.pid for one in child.children() if lives(one.pid)]
            if "fork" in child.cmdline():
                found["fork server"] = child.pid
                found |= {"kernel": forked[0]} if forked else {}
            else:
                found["kernel"] = child.pid
    return found


def demand_truth(result: RunResult, steps: int) -> str:
    """Assert that the record tells what was done, and return that in words."""
    assert (result.exit_code == 70) == (result.error is not None)
    if not result.actions:
        assert steps == 0
        return "no action was begun"
    (action,) = result.actions
    known = {
        ActionState.PLANNED: lambda: steps == 0,
        ActionState.APPLYING: lambda: action.applied <= steps,
        ActionState.INTERRUPTED: lambda: action.applied <= steps <= action.applied + 1,
        ActionState.APPLIED: lambda: steps == action.applied == ALL,
    }
    assert known[action.state](), (action, steps)
    return in_words(action)


def in_words(action: ActionRecord) -> str:
    effect = {True: ", its effect seen", None: "", False: ", its effect not seen"}
    return {
        ActionState.PLANNED: "planned, nothing changed",
        ActionState.APPLYING: "killed in progress",
        ActionState.INTERRUPTED: "interrupted, and how far it came",
    }.get(action.state, f"applied{effect[action.verified]}")


def resumed(former: RunResult) -> str:
    """Continue a run, and return in words what came of it."""
    try:
        order = resume.order(former.run_id, load_config())
    except UsageError as refusal:
        if former.error is None and "ran to its end, so there is nothing" in str(refusal):
            return "refused: it ran to its end"
        raise
    result = run_order(order)
    code = result.exit_code
    assert result.parent == former.run_id
    (action,) = result.actions
    if code == 77:
        assert "is unknown" in str(action.error)
        assert f"{RUNBOOK} -t demo -p what=bump --apply" in str(result.error)
        return "asks: it cannot know what is left"
    assert (code, action.state, action.verified) == (0, ActionState.APPLIED, True), result
    if action.summary.startswith("Applied by run"):
        return "verifies it, repeats nothing"
    if action.continues:
        assert 0 < action.planned < ALL
        return "does what is left"
    return "does it"


Cell = tuple[str, str, str]
"""The action, the moment, and which process is killed."""
Measured = dict[Cell, str]
"""The rows of the table: what the record said, and what the continued run did."""


@pytest.fixture(scope="module")
def measured() -> Measured:
    return {}


CELLS = [
    (what, moment, victim)
    for what, moments in (("move", MOMENTS), ("bump", MOMENTS[2:4]))
    for moment in moments
    for victim in VICTIMS
]


@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_kill_leaves_the_truth_and_is_mended(
    place: Place, demo: Target, measured: Measured, cell: Cell
) -> None:
    what, moment, victim = cell
    result = place.strike(moment, victim, *run(what))
    if result is None:
        tell(measured, cell, "it has already ended", "")
        return
    before = sum(moving.done(demo).values())
    record = demand_truth(result, before)
    ran = "ran to its end" if result.error is None else "broke"
    went = resumed(result)
    asked = went.startswith("asks")
    after = moving.done(demo)
    if what == "move":
        assert after == {f"item-{number}": 1 for number in range(ALL)} | {"bump": 0}
    else:
        assert after == {"bump": before if asked else ALL}
    assert not list((place.folder / "records").glob(".locks/*.json"))
    tell(measured, cell, f"{ran}; {record}", went)


def tell(measured: Measured, cell: Cell, record: str, went: str) -> None:
    """Take down a row of the table, which has to be in the documentation so."""
    measured[cell] = f"| {cell[1]} | {cell[2]} | {record} | {went} |"
    if not os.environ.get("OPSNB_WRITE"):
        assert measured[cell] == rows_of_the_page()[CELLS.index(cell)], "rebuild the table"


def rows_of_the_page() -> list[str]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and line not in COLUMNS]


def test_a_continued_run_is_killed_too(place: Place, demo: Target) -> None:
    first = place.strike("during apply", "kernel", *run("move"))
    assert first is not None
    again = ("run", "--resume", first.run_id, "--json")
    second = place.strike("during apply", "kernel", *again)
    assert second is not None
    assert (second.parent, second.actions[0].planned) == (first.run_id, ALL - ALL // 2)
    _, listed, _ = place.opsnb("records", "list", "--json")
    assert [RunResult.model_validate(each) for each in json.loads(listed)] == [second, first]
    code, told, _ = place.opsnb("run", "--resume", second.run_id, "--json")
    (action,) = RunResult.model_validate_json(told).actions
    assert (code, action.planned, action.continues) == (0, 0, second.run_id)
    assert moving.done(demo) == {f"item-{number}": 1 for number in range(ALL)} | {"bump": 0}


def test_the_table_in_the_documentation_is_whole(measured: Measured) -> None:
    """Its rows are compared by the tests of the kills, in whatever process each of them runs."""
    if os.environ.get("OPSNB_WRITE"):
        PAGE.write_text(page(measured), encoding="utf-8")
    rows = dict(zip(CELLS, rows_of_the_page(), strict=True))
    assert PAGE.read_text(encoding="utf-8") == page(rows)


def page(rows: Measured) -> str:
    tables = ([row for cell, row in rows.items() if cell[0] == what] for what in ("move", "bump"))
    first, second = ("\n".join([*COLUMNS, *table]) for table in tables)
    return f"{HEAD}{first}\n{MIDDLE}{second}\n"


COLUMNS = ("| When | Killed | The record says | `--resume` |", "| --- | --- | --- | --- |")
HEAD = """# When a run is killed

A test kills each process of an acting run by `kill -9`, at each of these moments. Every time the
record is true, the lock of the target is free, and `--resume` either ends with the effect exactly
once or asks you.

The *runner* is `opsnb run` itself. The *kernel* executes the notebook. The *fork server* starts
the kernels of several runs; a single run has none. A kernel that loses its runner interrupts its
cell, so that the cell's own clean-up runs. If a kernel dies before its first cell, the runner
replaces it.

"""
MIDDLE = """
The same with an action that cannot see what is left of it:

"""
