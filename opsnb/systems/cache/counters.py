"""The server's own counters, read several times over a short while."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import redis

from opsnb.systems.cache.info import figure, read_info

WATCHING_LIMIT_S = 75.0  # a window is a minute at most
_MOST_STEPS = 20
_LEAST_STEP_S = 0.25


def watch(client: redis.Redis, seconds: float) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the server's statistics several times over `seconds`, each with the seconds passed."""
    steps = max(1, min(_MOST_STEPS, round(seconds / _LEAST_STEP_S)))
    clock = time.monotonic()
    yield 0.0, read_info(client)
    for step in range(1, steps + 1):
        time.sleep(max(0.0, clock + seconds * step / steps - time.monotonic()))
        yield time.monotonic() - clock, read_info(client, "stats")


def grown(name: str, after: dict[str, Any], before: dict[str, Any]) -> int:
    """Return by how much a counter has grown, 0 if someone reset it."""
    return max(0, figure(after, name) - (figure(before, name) if before else 0))
