"""The limits of the container that the service is in, as Linux' control groups have them.

The group is that of process 1: on a machine of its own that has no limit, in a container it is the
container's. A group is limited by those above it too, so the smallest limit counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from opsnb.checks import evidence
from opsnb.systems.host.running import Host

_MEMBERSHIP = "/proc/1/cgroup"
_V2 = "/sys/fs/cgroup"
_V1_MEMORY, _V1_CPU, _V1_USAGE = (f"{_V2}/{name}" for name in ("memory", "cpu", "cpuacct"))
_FILES = {
    _V2: (
        *("memory.max", "memory.current", "memory.stat", "memory.swap.max", "memory.swap.current"),
        *("cpu.max", "cpu.stat"),
    ),
    _V1_MEMORY: ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
    _V1_CPU: ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
    _V1_USAGE: ("cpuacct.usage",),
}


@dataclass(frozen=True)
class Memory:
    """A limit of memory, and what counts against it; in bytes."""

    limit: int
    used: int
    """Without the file pages that the kernel gives back when it needs them."""
    swap_limit: int
    swap_used: int


@dataclass(frozen=True)
class Processor:
    """A limit of processor time, and what was used of it since the group was made."""

    cores: float
    used_s: float


def read(host: Host, *others: str) -> dict[str, str]:
    """Return the files of the groups that limit the machine of `host`, and `others`, by path."""
    first = host.texts([*others, _MEMBERSHIP, *_paths(dict.fromkeys(_FILES, ""))])
    own = _groups(first.get(_MEMBERSHIP, ""))
    if any(own.values()):
        first |= host.texts(list(_paths(own)))
    return first


def memory(files: Mapping[str, str], total: int) -> Memory | None:
    """Return the smallest limit below `total` bytes, None where there is none."""
    found = [
        limit
        for at in _folders(files, _V2, "memory.max")
        if (limit := _limit(files, at, "memory.max", "memory.current", "inactive_file"))
    ]
    found += [
        limit
        for at in _folders(files, _V1_MEMORY, "memory.limit_in_bytes")
        if (
            limit := _limit(
                files,
                at,
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        )
    ]
    return min((each for each in found if each.limit < total), key=_size, default=None)


def _size(limit: Memory) -> int:
    return limit.limit


def _limit(
    files: Mapping[str, str], at: str, limit: str, usage: str, reclaimable: str
) -> Memory | None:
    most, used = files[f"{at}/{limit}"].strip(), files.get(f"{at}/{usage}", "").strip()
    if not most.isdecimal():
        return None
    if not used.isdecimal():
        evidence.partial(f"the memory of the container, for {at}/{usage} cannot be read")
        return None
    pages = re.search(rf"(?m)^{reclaimable} (\d+)$", files.get(f"{at}/memory.stat", ""))
    swap = files.get(f"{at}/memory.swap.max", "").strip()
    swapped = files.get(f"{at}/memory.swap.current", "").strip()
    return Memory(
        limit=int(most),
        used=max(0, int(used) - (int(pages[1]) if pages else 0)),
        swap_limit=int(swap) if swap.isdecimal() else 0,
        swap_used=int(swapped) if swapped.isdecimal() else 0,
    )


def processor(files: Mapping[str, str], cores: int) -> Processor | None:
    """Return the smallest quota below the `cores` of the machine, None where there is none."""
    found = []
    for at in _folders(files, _V2, "cpu.max"):
        quota, _, period = files[f"{at}/cpu.max"].strip().partition(" ")
        used = re.search(r"(?m)^usage_usec (\d+)$", files.get(f"{at}/cpu.stat", ""))
        if quota.isdecimal() and period.isdecimal() and int(period) and used:
            found.append(Processor(int(quota) / int(period), int(used[1]) / 1e6))
    for at in _folders(files, _V1_CPU, "cpu.cfs_quota_us"):
        quota = files[f"{at}/cpu.cfs_quota_us"].strip()
        period = files.get(f"{at}/cpu.cfs_period_us", "").strip()
        spent = files.get(f"{_V1_USAGE}{at.removeprefix(_V1_CPU)}/cpuacct.usage", "").strip()
        if quota.isdecimal() and period.isdecimal() and int(period) and spent.isdecimal():
            found.append(Processor(int(quota) / int(period), int(spent) / 1e9))
    return min(
        (each for each in found if 0 < each.cores < cores), key=attrgetter("cores"), default=None
    )


def _groups(membership: str) -> dict[str, str]:
    """Return the path of process 1's group in each hierarchy, empty for the top of what is seen."""
    found = dict.fromkeys(_FILES, "")
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # Outside of what is seen from here; systemd's own group has no limits of its own.
        path = "" if ".." in path.split("/") else path.removesuffix("/init.scope").rstrip("/")
        if number == "0" and not controllers:
            found[_V2] = path
        for base, name in ((_V1_MEMORY, "memory"), (_V1_CPU, "cpu"), (_V1_USAGE, "cpuacct")):
            if name in controllers.split(","):
                found[base] = path
    return found


def _paths(groups: Mapping[str, str]) -> Iterator[str]:
    """Yield the files of each group, and of those above it."""
    for base, path in groups.items():
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth])
            yield from (f"{base}{above}/{name}" for name in _FILES[base])


def _folders(files: Mapping[str, str], base: str, name: str) -> list[str]:
    """Return the groups among `files` that have a file `name`."""
    return [
        path.removesuffix(f"/{name}")
        for path in files
        if path.startswith(f"{base}/") and path.endswith(f"/{name}")
    ]
