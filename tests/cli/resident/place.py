"""Runs of the console script with a resident of the test's own, on a runbook of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from opsnb.authoring.notebooks import notebook
from opsnb.model import now

OPSNB = str(Path(sys.executable).with_name("opsnb"))
RUNBOOK = "own/probe"
TEXT = """# Probe

```python
from opsnb.params import TargetName

target: TargetName = ""  # which system
wait: str = ""  # the folder in which it waits
```

```python
import json, os, time
from pathlib import Path

import measured
from opsnb import Runbook

names, folder, parent = sorted(os.environ), os.getcwd(), os.getppid()
print(json.dumps({"names": names, "folder": folder, "parent": parent, "zone": time.strftime("%z"),
                  "mark": os.environ.get("MARK"), "session": os.getsid(0) == os.getpid()}))
```

```python
Runbook(target).check(measured.level)
```

```python
if wait:
    Path(wait, "waits").touch()
    while not Path(wait, "go").exists():
        time.sleep(0.01)
```
"""
MEASURED = """from opsnb.checks.check import check
from opsnb.model import Finding, Status

@check()
def level(target):
    "Level"
    return Finding(status=Status.WARN, message="{message}", value=1)
"""


class Place:
    """A folder with a runbook, its module and `opsnb.toml`, and folders for all that opsnb keeps.

    Its path is short: sockets are in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = str(folder / "run")
        self.sockets = folder / "run/opsnb"
        for name in ("run", "tmp", "ours/own", "site", "wait"):
            (folder / name).mkdir(parents=True, mode=0o700)
        (folder / "ours/own/probe.ipynb").write_text(notebook(TEXT, now().date()))
        (folder / "opsnb.toml").write_text('[runbooks]\npaths = ["ours"]\n[targets.here]\n')
        self.measures("first")

    def measures(self, message: str) -> None:
        """Let the check of the runbook say `message`."""
        (self.folder / "ours/measured.py").write_text(MEASURED.format(message=message))

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "CI"},
            "OPSNB_RESIDENT": "on",
            "OPSNB_RECORDS": str(self.folder / "records"),
            "PYTHONPATH": str(self.folder / "site"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_RUNTIME_DIR": self.runtime,
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    def start(self, *words: str, cwd: Path | None = None, **changed: str) -> subprocess.Popen[str]:
        """Start `opsnb` with `words`, by default a run of the runbook."""
        return subprocess.Popen(
            [OPSNB, *(words or ("run", RUNBOOK, "--json"))],
            env={**self.environment, **changed},
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def run(self, *words: str, cwd: Path | None = None, **changed: str) -> Run:
        """Run `opsnb` to its end."""
        return Run(self, self.start(*words, cwd=cwd, **changed))

    def waiting(self, setting: str = "on") -> subprocess.Popen[str]:
        """Start a run and return when it waits in its last cell."""
        self.release()
        for name in ("go", "waits"):
            (self.folder / "wait" / name).unlink(missing_ok=True)
        process = self.start(
            "run", RUNBOOK, "--json", "-p", f"wait={self.folder}/wait", OPSNB_RESIDENT=setting
        )
        until((self.folder / "wait/waits").exists)
        return process

    def release(self) -> None:
        """Let the runs that wait go on."""
        (self.folder / "wait/go").touch()

    @property
    def residents(self) -> list[psutil.Process]:
        """The residents of this place; the processes of runs, their children, lead no session."""
        folder = f"{self.sockets}/"
        return [
            process
            for process in psutil.process_iter()
            if any(word.startswith(folder) for word in words_of(process))
            and os.getsid(process.pid) == process.pid
        ]

    @property
    def listens(self) -> bool:
        """Whether a resident is ready."""
        return bool(list(self.sockets.glob("*.sock")))

    def resident(self) -> psutil.Process:
        """Return the only resident; wait until it listens, and others that were started end."""
        until(lambda: self.listens and len(self.residents) == 1)
        (process,) = self.residents
        return process

    def record(self, run_id: str) -> dict[str, Any]:
        (path,) = (self.folder / "records").glob(f"*/*/{run_id}/record.ipynb")
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    def results(self) -> list[dict[str, Any]]:
        """Return the results of all runs, oldest first, also of those that were killed."""
        self.run("records", "list")  # writes the records of killed runs
        paths = sorted((self.folder / "records").glob("*/*/*/result.json"))
        return [json.loads(path.read_text()) for path in paths]

    def parents(self) -> list[int]:
        """Return the pid from which the kernel of each run was forked, oldest run first."""
        paths = sorted((self.folder / "records").glob("*/*/*/record.ipynb"))
        return [printed(json.loads(path.read_text()))["parent"] for path in paths]

    def end(self) -> None:
        """End the residents of this place."""
        self.release()
        for process in self.residents:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
                process.wait(30)
        for path in self.sockets.glob("*"):
            path.unlink()


@contextmanager
def new_place() -> Iterator[Place]:
    """Yield a place without a resident; end what it has in the end."""
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        place = Place(Path(folder))
        try:
            yield place
        finally:
            place.end()


class Run:
    """A run of `opsnb` that has ended."""

    def __init__(self, place: Place, process: subprocess.Popen[str]) -> None:
        self.out, self.errors = process.communicate(timeout=240)
        self.code = process.returncode
        self._place = place

    @property
    def result(self) -> dict[str, Any]:
        assert self.out, self.errors
        content: dict[str, Any] = json.loads(self.out)
        return content

    @property
    def notebook(self) -> dict[str, Any]:
        return self._place.record(self.result["run_id"])

    @property
    def printed(self) -> dict[str, Any]:
        """What the kernel printed about itself."""
        return printed(self.notebook)


def printed(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return what the kernel of the runbook printed about itself."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    (text, *_) = (output["text"] for output in outputs if output["output_type"] == "stream")
    content: dict[str, Any] = json.loads("".join(text))
    return content


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty when it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def until(is_so: Callable[[], bool]) -> None:
    """Wait until `is_so`; fail after two minutes."""
    ends = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)
