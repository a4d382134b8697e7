"""Headless runs beside stock papermill on the same notebooks, in one run.

    python benchmarks/headless.py [--rounds 5] [--many 100] [--peer-many 20] [--leak 1000]

Brings up a demo stack of its own and prints

- one run of health/daily in a process that stays up, over `papermill.execute_notebook` and over
  the handbook's shell checklist (goals: at most 0.10 and 1.5),
- `opsnb run health/daily` over the `papermill` command, both cold (goal: at most 0.6), and the
  second one by hand within ten minutes, which a resident process runs (goal: at most 0.15),
- `--many` runs on all cores over `xargs -P<cores> papermill`, in runs a second and a day (goals:
  20 times, 400,000 a day), of health/daily and of checks.ipynb beside this file, which does what
  people do without opsnb: pandas, one query each, a chart (goal: 700,000 a day). The peer's rate is
  from `--peer-many` runs, as it is steady,
- health/daily on `--targets` targets of one file, in seconds of all cores a target (goal: 0.3),
- memory and open files after 100 and after `--leak` runs, of the resident process and of one that
  stays up, and what is left behind.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import papermill
import psutil
from _beside import head, median_s, row
from health import BIN, checklist, command

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.config.target import stand_in
from opsnb.demo import stack
from opsnb.headless import fleet
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.order import Order
from opsnb.headless.run import run

CORES = os.cpu_count() or 2
JOBS = 2 * CORES  # a run waits for the services as long as it computes
DAY_S = 86_400


class Runs:
    """Runs of a notebook on the demo stack from this process."""

    def __init__(self, info: catalog.RunbookInfo, server: ForkServer) -> None:
        self._server = server
        self._config = load_config()
        self._order = Order(info, self._config.target("demo"), info.validate({"target": "demo"}))

    def one(self, _: int = 0) -> None:
        """Run it once and keep the record."""
        result = run(self._order, self._config, server=self._server)
        if result.exit_code > 3:
            raise SystemExit(f"A run broke: {result.error}")

    def many(self, count: int) -> float:
        """Return how many runs a second there were."""
        clock = time.perf_counter()
        with ThreadPoolExecutor(JOBS) as pool:
            list(pool.map(self.one, range(count)))
        return count / (time.perf_counter() - clock)


@contextmanager
def surroundings() -> Iterator[Path]:
    """A demo stack, a record store and a folder for temporary files, all of our own."""
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        scratch = Path(folder, "tmp")
        scratch.mkdir()
        os.environ["OPSNB_DEMO_HOME"] = str(Path(folder, "demo"))
        os.environ["OPSNB_RECORDS"] = str(Path(folder, "records"))
        os.environ["XDG_STATE_HOME"] = str(Path(folder, "state"))
        os.environ["XDG_RUNTIME_DIR"] = str(Path(folder, "run"))
        os.environ["OPSNB_RESIDENT"] = "off"
        Path(folder, "run").mkdir(mode=0o700)
        stack.up(print)
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
        try:
            yield scratch
        finally:
            stack.down(print)


def stock(notebook: Path, output: Path) -> Callable[[], object]:
    return lambda: papermill.execute_notebook(
        notebook, output, {"target": "demo"}, progress_bar=False
    )


def warm(runs: Runs, notebook: Path, output: Path, rounds: int) -> None:
    ours = median_s(runs.one, rounds)
    head("One run in a process that stays up")
    row("over papermill.execute_notebook", ours, median_s(stock(notebook, output), rounds))
    config = load_config()
    row("over the shell checklist", ours, median_s(checklist(config.target("demo")), rounds))


DAILY = command("sh", "-c", f"{BIN}/opsnb run health/daily -t demo || [ $? -le 3 ]")


def from_the_command_line(notebook: Path, output: Path, rounds: int, count: int) -> None:
    peer = command(f"{BIN}/papermill", str(notebook), str(output), "-p", "target", "demo")
    head("One run from the command line")
    row("opsnb run over papermill", median_s(DAILY, rounds), median_s(peer, rounds))
    with resident() as process:
        row("the second opsnb run over papermill", median_s(DAILY, rounds), median_s(peer, rounds))
        leak(lambda more: [DAILY() for _ in range(more)], process, count)


@contextmanager
def resident() -> Iterator[psutil.Process]:
    """Run once as an engineer does, and yield the resident that this starts."""
    os.environ["OPSNB_RESIDENT"] = "on"
    DAILY()
    folder = Path(os.environ["XDG_RUNTIME_DIR"], "opsnb")
    while not list(folder.glob("*.sock")):
        time.sleep(0.1)
    (process,) = (
        each
        for each in psutil.process_iter(["cmdline"])
        if any(word.startswith(str(folder)) for word in each.info["cmdline"] or ())
    )
    try:
        yield process
    finally:
        os.environ["OPSNB_RESIDENT"] = "off"
        process.terminate()


def many(runs: Runs, notebook: Path, output: Path, count: int, peer_count: int) -> None:
    runs.many(JOBS)
    ours = runs.many(count)
    papermill_each = f"{BIN}/papermill {notebook} {output}.{{}} -p target demo"
    words = ["xargs", "-P", str(CORES), "-I{}", "sh", "-c", papermill_each]
    clock = time.perf_counter()
    numbers = "\n".join(map(str, range(peer_count)))
    subprocess.run(words, input=numbers, text=True, check=True, capture_output=True)
    peer = peer_count / (time.perf_counter() - clock)
    print(f"\n{count} runs on {CORES} cores, {JOBS} at a time (peer: {peer_count} runs)")
    print(f"  ours {ours:.2f} a second, {ours * DAY_S:,.0f} a day")
    print(f"  peer {peer:.2f} a second, {peer * DAY_S:,.0f} a day; ratio {ours / peer:.1f}")


def many_targets(daily: catalog.RunbookInfo, server: ForkServer, scratch: Path, count: int) -> None:
    """Run `daily` on `count` targets, all of them the demo, of one opsnb.toml."""
    demo = (Path(os.environ["OPSNB_DEMO_HOME"]) / "opsnb.toml").read_text(encoding="utf-8")
    names = [f"t{number:03}" for number in range(count)]
    file = scratch / "opsnb.toml"
    file.write_text("\n".join(demo.replace("targets.demo", f"targets.{name}") for name in names))
    os.environ["OPSNB_CONFIG"] = str(file)
    order = Order(daily, stand_in(["all"]), daily.validate({"target": names[0]}))
    clock = time.perf_counter()
    result = fleet.run(order, names, load_config(), server=server)
    each = CORES * (time.perf_counter() - clock) / count
    del os.environ["OPSNB_CONFIG"]
    print(f"\n{count} targets, -t all: {result.status}, {each:.2f} s of {CORES} cores a target")


def leak(run_more: Callable[[int], object], process: psutil.Process, count: int) -> None:
    """Compare what `process` uses after 100 runs that it serves with what it uses after `count`."""
    scratch = Path(tempfile.gettempdir())
    before = {*scratch.iterdir()}
    run_more(100)
    first = used(process)
    run_more(count - 100)
    last = used(process)
    print(f"\n{count} runs of one process           after 100  after {count}   ratio")
    for name, early, late in zip(("memory, MB", "open files"), first, last, strict=True):
        print(f"  {name:<28}{early:>15.1f} {late:>12.1f} {late / early:>7.3f}")
    children = process.children(recursive=True)
    zombies = [each for each in children if each.status() == psutil.STATUS_ZOMBIE]
    left = {*scratch.iterdir()} - before
    print(
        f"  processes left: {len(children) - 1}, zombies: {len(zombies)}, files left: {len(left)}"
    )


def used(process: psutil.Process) -> tuple[float, float]:
    """Return the memory in MB and the number of open files of `process`."""
    gc.collect()
    return process.memory_info().rss / 1e6, process.num_fds()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (
        ("rounds", 5),
        ("many", 100),
        ("peer-many", 20),
        ("leak", 1000),
        ("targets", 500),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    wanted = parser.parse_args()
    logging.getLogger("papermill").setLevel(logging.ERROR)
    daily = catalog.runbook("health/daily")
    checks = catalog.RunbookInfo("benchmarks/checks", Path(__file__).with_name("checks.ipynb"))
    with surroundings() as scratch, ForkServer(imports([daily, checks])) as server:
        runs, output = Runs(daily, server), scratch / "out.ipynb"
        warm(runs, daily.path, output, wanted.rounds)
        from_the_command_line(daily.path, output, wanted.rounds, wanted.leak)
        for info in (daily, checks):
            print(f"\n{info.id}", end="")
            many(Runs(info, server), info.path, output, wanted.many, wanted.peer_many)
        leak(runs.many, psutil.Process(), wanted.leak)
        many_targets(daily, server, scratch, wanted.targets)


if __name__ == "__main__":
    main()
