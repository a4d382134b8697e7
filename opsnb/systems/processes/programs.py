"""The programs of the machine that take most of its memory, whoever started them."""

from __future__ import annotations

import re
from collections import defaultdict

import psutil

from opsnb.check import check
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import Host, host_of
from opsnb.target import Target

_MIB = 2**20
_MOST_ROWS = 10


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
        f"{first['program']} takes most: {first['memory_bytes'] / _MIB:,.0f} MiB in "
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
    return parse_ps(host.run(["ps", "-eo", "rss=,comm="]))


def parse_ps(text: str) -> list[tuple[str, int]]:
    """Return what `ps -eo rss=,comm=` prints: sizes in KiB, then names. Raises BadAnswer."""
    found = re.findall(r"(?m)^\s*(\d+) (.+?)\s*$", text)
    if not found:
        raise BadAnswer(HOST, f"`ps` lists no processes, but said {text.strip()[:80]!r}.")
    return [(name, int(size) * 1024) for size, name in found]
