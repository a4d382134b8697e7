"""The machine's memory, or what its container may take of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psutil

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status, Threshold
from opsnb.systems.host import cgroups
from opsnb.systems.host.running import SYSTEM, Host, host_of
from opsnb.systems.host.vitals import is_linux
from opsnb.view.formats import GIB

_MEMINFO = "/proc/meminfo"


@check(needs=(SYSTEM,))
def memory(target: Target) -> Finding:
    """Memory.

    Of the machine; in a container with a limit, of that.
    """
    return _memory_finding(_memory(host_of(target)), target.threshold("memory_used_percent"))


@dataclass(frozen=True)
class _Memory:
    """In bytes."""

    total: int
    available: int
    swap_total: int
    swap_free: int
    of: str = "RAM"


def _memory(host: Host) -> _Memory:
    if not is_linux(host):
        ram, swap = psutil.virtual_memory(), psutil.swap_memory()
        return _Memory(ram.total, ram.available, swap.total, swap.free)
    files = cgroups.read(host, _MEMINFO)
    machine = parse_meminfo(files.get(_MEMINFO, ""))
    limit = cgroups.memory(files, machine.total)
    if limit is None:
        return machine
    return _Memory(
        limit.limit,
        max(0, limit.limit - limit.used),
        limit.swap_limit,
        max(0, limit.swap_limit - limit.swap_used),
        of="container",
    )


_FREE = ("MemFree", "Buffers", "Cached", "SReclaimable")


def parse_meminfo(text: str) -> _Memory:
    """Return what /proc/meminfo says; kernels before 3.14 do not report what is available."""
    kib = {match[1]: int(match[2]) * 1024 for match in re.finditer(r"(?m)^(\w+):\s+(\d+) kB", text)}
    if "MemAvailable" not in kib and all(name in kib for name in _FREE[:3]):
        kib["MemAvailable"] = sum(kib.get(name, 0) for name in _FREE) - kib.get("Shmem", 0)
        evidence.without("the kernel's own figure of available memory; it is estimated")
    try:
        return _Memory(
            kib["MemTotal"], kib["MemAvailable"], kib.get("SwapTotal", 0), kib.get("SwapFree", 0)
        )
    except KeyError as missing:
        raise BadAnswer(SYSTEM, f"The host's /proc/meminfo has no {missing.args[0]}.") from None


def _memory_finding(state: _Memory, limits: Threshold) -> Finding:
    used = state.total - state.available
    percent = 100 * used / state.total
    swap_used = state.swap_total - state.swap_free
    what = "memory" if state.of == "RAM" else "the container's memory limit"
    message = (
        f"{percent:.0f}% of {what} is used: {used / GIB:.1f} of {state.total / GIB:.1f} GiB, "
        f"{state.available / GIB:.1f} GiB available."
    )
    rows = [_memory_row(state.of, state.total, used, limits.judge(percent))]
    if state.swap_total:
        message += f" Swap holds {swap_used / GIB:.1f} of {state.swap_total / GIB:.1f} GiB."
        rows.append(_memory_row("swap", state.swap_total, swap_used, Status.OK))
    return Finding.measured(round(percent, 1), limits, message, rows=rows)


def _memory_row(name: str, total: int, used: int, status: Status) -> Row:
    return {
        "memory": name,
        "size_bytes": total,
        "used_bytes": used,
        "free_bytes": total - used,
        "used_percent": round(100 * used / total, 1),
        "status": status,
    }
