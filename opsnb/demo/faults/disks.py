"""A fault of the disk: the small disk of the access log is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from opsnb.demo import service
from opsnb.demo.faults.answers import take_out_of_log
from opsnb.demo.faults.fault import Fault, see
from opsnb.demo.parts import Parts
from opsnb.errors import DemoError

SIZE_MIB = 4
OLD_S = 45 * 24 * 3600

# What the service writes, by which its lines are known.
LOG_ERROR = "a request could not be noted"
LEAST_ERRORS = 15


def _demand(stack: Parts) -> None:
    if not _may_mount(stack.home.access_logs):
        raise DemoError(
            "This fault mounts a small file system, which only root may do: "
            "run it as root, or in a container that may mount."
        )


def _may_mount(folder: Path) -> bool:
    """Try it where no other process sees it: the root of a container often may not."""
    command = ("unshare", "--mount", *_mount(folder))
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _break(stack: Parts) -> None:
    _fill(stack)
    while stack.service.access_log.exists() and stack.service.access_log.stat().st_size:
        # The service was the quicker one: its log has a block, with room for a minute's requests.
        stack.home.unmount()
        _fill(stack)
    see(lambda: _errors(stack) >= LEAST_ERRORS, "the service notes requests without errors")


def _fill(stack: Parts) -> None:
    folder = stack.home.access_logs
    if not folder.is_mount():
        _run(*_mount(folder))
    old = folder / "access.log.1"
    try:
        with old.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(64 * 1024))
    except OSError:
        pass  # it is full, as meant
    os.utime(old, (time.time() - OLD_S,) * 2)


def _errors(stack: Parts) -> int:
    return stack.service.log.read_text().count(LOG_ERROR)


def _unmount(stack: Parts) -> None:
    stack.home.unmount()
    take_out_of_log(stack, LOG_ERROR)


def _mount(folder: Path) -> tuple[str, ...]:
    return ("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", "opsnb-demo", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"opsnb cannot mount a small file system here: {done.stderr.strip()}")


FAULTS = (
    Fault(
        name="full-disk",
        description=f"An old log fills the disk of the access log ({SIZE_MIB} MiB).",
        symptom="The log fills with new errors; users notice nothing yet.",
        runbook="incidents/high_error_rate",
        cause="outage.disk_full",
        needs=frozenset({service.API}),
        demand=_demand,
        break_it=_break,
        fix_it=_unmount,
    ),
)
