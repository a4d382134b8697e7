"""The programs of the machine that use most of its memory, of any user."""

from __future__ import annotations

import re
from collections import defaultdict

import psutil

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import Host, ProgramFailed, ProgramMissing, host_of
from opsnb.view.formats import MIB

_MOST_ROWS = 10
_FROM_PROC = (
    "size=$(getconf PAGESIZE 2>/dev/null || echo 4096); for p in /proc/[0-9]*; do "
    "read -r _ pages _ <$p/statm && read -r name <$p/comm && "
    'echo "$((pages * size / 1024)) $name"; done 2>/dev/null; true'
)


@check(needs=(HOST,))
def largest(target: Target) -> Finding:
    """The machine's largest programs.

    Processes of one name are added up; memory that they share is counted for each of them.
    """
    programs: dict[str, list[int]] = defaultdict(list)
    for name, size in _processes(host_of(target)):
        programs[name].append(size)
    ordered = sorted(programs.items(), key=lambda item: -sum(item[1]))[:_MOST_ROWS]
    rows: list[Row] = [
        {
            "program": name,
            "processes": len(sizes),
            "memory_bytes": sum(sizes),
            "largest_bytes": max(sizes),
        }
        for name, sizes in ordered
    ]
    first = rows[0]
    message = (
        f"{first['program']} takes most: {first['memory_bytes'] / MIB:,.0f} MiB in "
        f"{first['processes']} processes."
    )
    return Finding(status=Status.OK, message=message, rows=rows)


def _processes(host: Host) -> list[tuple[str, int]]:
    """Return the name of each process, and the bytes that it has in memory."""
    if host.is_local:
        # A process may have ended since, or belong to somebody else: it then has no `info`.
        found = psutil.process_iter(["name", "memory_info"])
        return [
            (each.info["name"], each.info["memory_info"].rss)
            for each in found
            if each.info["name"] and each.info["memory_info"]
        ]
    return parse_ps(_ps(host))


def _ps(host: Host) -> str:
    """Return sizes and names, by the ps of procps or of busybox, else as the kernel has them."""
    for options in (["-eo", "rss=,comm="], ["-o", "rss,comm"]):
        try:
            return host.run(["ps", *options])
        except ProgramFailed:
            continue
        except ProgramMissing:
            break
    return host.run(["sh", "-c", _FROM_PROC])


_SCALES = {"": 1, "k": 1, "m": 1024, "g": 1024**2}


def parse_ps(text: str) -> list[tuple[str, int]]:
    """Return what `ps -eo rss=,comm=` prints: sizes in KiB, then names. Raises BadAnswer.

    Busybox puts a unit behind what is large, and a line of titles above it all.
    """
    found = re.findall(r"(?m)^\s*(\d+(?:\.\d+)?)([kmg]?) +(.+?)\s*$", text)
    if not found:
        raise BadAnswer(
            HOST, f"`ps` lists no processes, but said {outside.head(text.strip(), 80)!r}."
        )
    return [(name, int(float(size) * _SCALES[unit]) * 1024) for size, unit, name in found]
