"""Finding, starting and stopping the stack's processes.

The operating system is asked each time which processes there are; no list of pids is kept that
could be out of date. psutil checks a process's start time before it signals it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from opsnb.demo import launch
from opsnb.machine.waiting import attempts

PAUSE_S = 0.1  # not more often: a look reads the command line of every process there is

Find = Callable[[], Sequence[psutil.Process]]


def by_command_line(matches: Callable[[list[str]], bool]) -> list[psutil.Process]:
    """Return the living processes whose command line `matches`."""
    return [process for process, words in _command_lines() if matches(words)]


def _command_lines() -> Iterator[tuple[psutil.Process, list[str]]]:
    for process in psutil.process_iter():
        # A zombie has no command line, and neither has a process that just ended.
        with suppress(psutil.Error):
            if words := process.cmdline():
                yield process, words


def environment(process: psutil.Process) -> dict[str, str]:
    """Return the environment that `process` was started with; empty when it cannot be read."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def is_stopped(process: psutil.Process) -> bool:
    """Return whether `process` was stopped by a signal and waits to be continued."""
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def start_detached(command: Sequence[str | Path], *, log: Path, cwd: Path, user: str = "") -> None:
    """Start `command` so that it outlives this process, with its output appended to `log`."""
    subprocess.run(
        [*_launcher(), "detached", str(log), user, *map(str, command)],
        cwd=cwd,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        check=True,
    )


def run(command: Sequence[str | Path], *, log: Path, cwd: Path, user: str = "") -> bool:
    """Run `command` to its end with its output appended to `log`; return whether it succeeded."""
    with log.open("ab") as output:
        done = subprocess.run(
            [*_launcher(), "here", user, *map(str, command)],
            cwd=cwd,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    return done.returncode == 0


def _launcher() -> list[str]:
    return [sys.executable, "-I", "-S", launch.__file__]


def clean_environment() -> dict[str, str]:
    """Return what any program needs; the caller's own variables may hold secrets."""
    keep = ("PATH", "HOME", "TMPDIR")
    return {"LC_ALL": "C"} | {name: os.environ[name] for name in keep if name in os.environ}


def send(processes: Sequence[psutil.Process], signal_number: signal.Signals) -> None:
    """Signal each of `processes` that still lives."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal_number)


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait until `condition` holds; return whether it came to hold within `limit_s` seconds."""
    return any(condition() for _ in attempts(limit_s, PAUSE_S))


def freeze(find: Find) -> None:
    """Stop all that `find` finds with SIGSTOP, also what they start meanwhile."""

    def frozen() -> bool:
        running = [process for process in find() if not is_stopped(process)]
        send(running, signal.SIGSTOP)
        return not running

    wait_until(frozen, 10.0)


def stop(find: Find, gently: Callable[[Sequence[psutil.Process]], None], grace_s: float) -> None:
    """End all that `find` finds: `gently` first, and after `grace_s` seconds with SIGKILL."""
    processes = find()
    if not processes:
        return
    send(processes, signal.SIGCONT)
    gently(processes)
    if wait_until(lambda: not find(), grace_s):
        return

    def killed() -> bool:
        rest = find()
        send(rest, signal.SIGKILL)
        return not rest

    wait_until(killed, 10.0)
