"""Two containers with one host name and one record store race for the lock of a target.

    python benchmarks/locks.py [--races 500]

A container is a PID namespace with a /proc of its own, made by `unshare` (as root, or with user
namespaces). In each race a process in either wants the lock at the same moment; who comes second
waits until the first has released it. Every other race begins with the lock of a run that was
killed, in the one container or the other. Prints how often each was first, how long the second
waited, and the times that both held the lock (goal: 0). Exits with 1 when there was one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from opsnb.headless import locks
from opsnb.model import RunResult, Status, now
from opsnb.records.store import Store, new_run_id

TARGET = "shop"
HOLDS_S = 0.01
_UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
NO_NAMESPACES = 77


@dataclass(frozen=True)
class Held:
    """When one container held the lock, on the clock that both share."""

    began: float
    ended: float

    def overlaps(self, other: Self) -> bool:
        """Return whether both held it at some moment."""
        return self.began < other.ended and other.began < self.ended


class Container:
    """A process in a PID namespace of its own."""

    def __init__(self, store: str) -> None:
        root = [] if os.geteuid() == 0 else ["--map-root-user"]
        self._process = subprocess.Popen(
            [*_UNSHARE, *root, sys.executable, __file__, "--contend", store],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, word: str) -> None:
        """Have the process do that: `race`, or `leave` the lock of a run that is killed."""
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def answer(self) -> list[str]:
        """Return the words of its next answer."""
        assert self._process.stdout
        return self._process.stdout.readline().split()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def contend(store: Store) -> None:
    """Do what is told on standard input, in a container."""
    locks._POLL_S = 0.002  # the more often both look, the more chances to go wrong
    print("ready", flush=True)
    for word in sys.stdin:
        if word == "leave\n":
            _leave(store)
            print("left", flush=True)
            continue
        with locks.held(store, TARGET, _run(), wait_s=60) as lock:
            began = time.monotonic()
            time.sleep(HOLDS_S)
            lost, ended = lock.lost, time.monotonic()
        print("lost" if lost else "held", began, ended, flush=True)


def _leave(store: Store) -> None:
    """Leave the lock of a process of this container that is gone."""
    child = os.fork()
    if not child:
        locks.Lock(store, TARGET, _run()).take(60, ())
        os._exit(0)
    os.waitpid(child, 0)


def _run() -> RunResult:
    started = now()
    return RunResult(
        run_id=new_run_id("queues/pause", TARGET, started),
        runbook="queues/pause",
        runbook_sha256="",
        target=TARGET,
        operator="on-call",
        host="app",
        parameters={},
        status=Status.UNKNOWN,
        exit_code=70,
        started=started,
        finished=started,
        seconds=0,
        opsnb_version="",
    )


def race(containers: Sequence[Container], number: int) -> list[Held]:
    """Return when each container held the lock in a race."""
    if number % 2:
        container = containers[number // 2 % 2]
        container.tell("leave")
        container.answer()
    for container in containers:
        container.tell("race")
    answers = [container.answer() for container in containers]
    if any(not answer or answer[0] != "held" for answer in answers):
        raise SystemExit(f"Race {number}: {answers}; a lock was lost, or nobody got it.")
    return [Held(float(began), float(ended)) for _, began, ended in answers]


def main() -> None:
    """Run the races and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=500)
    parser.add_argument("--contend", metavar="STORE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contend:
        contend(Store(options.contend))
        return
    if not shutil.which("unshare"):
        print("There is no `unshare` here, so no containers can be made.")
        raise SystemExit(NO_NAMESPACES)
    with tempfile.TemporaryDirectory(prefix="opsnb-locks-") as folder:
        _report(options.races, str(Path(folder, "records")))


def _report(races: int, store: str) -> None:
    containers = [Container(store), Container(store)]
    try:
        if any(container.answer() != ["ready"] for container in containers):
            print("This user may not make PID namespaces here, so no containers can be made.")
            raise SystemExit(NO_NAMESPACES)
        held = [race(containers, number) for number in range(races)]
    finally:
        for container in containers:
            container.close()
    first = sum(one.began < other.began for one, other in held)
    both = sum(one.overlaps(other) for one, other in held)
    waited = [1000 * abs(one.began - other.began) for one, other in held]
    print(f"{races} races of two containers with one host name for one lock, half of them of a")
    print("killed run:")
    print(f"  the first container was first    {first:5}")
    print(f"  the second container was first   {races - first:5}")
    print(f"  the second to come waited        {statistics.median(waited):5.0f} ms (median)")
    print(f"  two holders at the same time     {both:5}   goal: 0")
    if both:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
