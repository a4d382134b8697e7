"""What every benchmark does: time ours and the peer in one run, and print the ratio."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_PINGER = """
import select, sys, time, redis
client, worst = redis.Redis(port=int(sys.argv[1]), socket_timeout=600), 0.0
client.ping()
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.001)[0]:
    clock = time.perf_counter()
    client.ping()
    worst = max(worst, time.perf_counter() - clock)
print(worst)
"""


def median_s(work: Callable[[], object], rounds: int) -> float:
    """Return the median wall time of `work` in seconds, after one round that does not count."""
    work()
    times = []
    for _ in range(rounds):
        clock = time.perf_counter()
        work()
        times.append(time.perf_counter() - clock)
    return statistics.median(times)


@dataclass(frozen=True)
class Measured:
    """Some work on a Redis, or leaving it alone."""

    seconds: float
    worst_ping_ms: float


def beside_pings(port: int, work: Callable[[], float]) -> Measured:
    """Return what `work` says it took, and the worst PING of a process of its own meanwhile."""
    words = [sys.executable, "-c", _PINGER, str(port)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as pinger:
        assert pinger.stdout is not None
        pinger.stdout.readline()
        seconds = work()
        told, _ = pinger.communicate("stop\n")
    return Measured(seconds, float(told) * 1000)


def median(rounds: Sequence[Measured]) -> Measured:
    """Return the medians of several rounds."""
    return Measured(
        statistics.median(one.seconds for one in rounds),
        statistics.median(one.worst_ping_ms for one in rounds),
    )


def head(title: str) -> None:
    """Print the head of a table of results."""
    print(f"\n{title:<58}{'ours':>10} {'peer':>10} {'ratio':>8}")


def row(name: str, ours: float, peer: float) -> None:
    """Print two wall times in seconds and their ratio."""
    print(f"{name:<58}{ours:>8.3f} s {peer:>8.3f} s {ours / peer:>8.2f}")


def pings(ours: Measured, peer: Measured, idle: Measured) -> None:
    """Print the worst PINGs over that of the idle server."""
    name = f"  worst PING over that of the idle server ({idle.worst_ping_ms:.1f} ms)"
    print(
        f"{name:<58}{ours.worst_ping_ms - idle.worst_ping_ms:>7.1f} ms "
        f"{peer.worst_ping_ms - idle.worst_ping_ms:>7.1f} ms"
    )
