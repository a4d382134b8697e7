"""What BullMQ looks up in vain is no miss of the cache, and a full memory is no cold cache."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from bullmq import Queue

from opsnb.checks.check import Check
from opsnb.config.target import Target
from opsnb.demo import faults, stack
from opsnb.handbook.incidents import performance_degradation
from opsnb.handbook.troubleshooting import high_cache_miss_rate
from opsnb.model import Status
from opsnb.systems import cache
from opsnb.systems.cache.settings import Cache
from tests import incident
from tests.operate.database import wait_for
from tests.systems.redis_server import BINARIES, start

CAUSES: tuple[Check[...], ...] = (
    high_cache_miss_rate.cold,
    high_cache_miss_rate.expiring,
    high_cache_miss_rate.evicted,
    high_cache_miss_rate.never_there,
)


@contextmanager
def jobs(target: Target) -> Iterator[None]:
    """Add 40 jobs a second to notifications, which the demo's worker works off."""
    ended = threading.Event()

    async def add() -> None:
        queue = Queue("notifications", {"connection": Cache.of(target).url})
        while not ended.is_set():
            await queue.add("mail", {"user_id": 1}, {"removeOnComplete": True})
            await asyncio.sleep(0.025)
        await queue.close()

    adder = threading.Thread(target=lambda: asyncio.run(add()))
    adder.start()
    try:
        yield
    finally:
        ended.set()
        adder.join()


@pytest.fixture
def quiet(demo: Target) -> Iterator[Target]:
    """The demo without users."""
    stack.set_traffic(False)
    time.sleep(1)  # what they have begun ends
    yield demo
    stack.set_traffic(True)


def test_what_bullmq_looks_up_is_no_miss_of_the_cache(quiet: Target) -> None:
    with jobs(quiet):
        wait_for(lambda: "BullMQ excluded" in cache.hit_rate(quiet).message)
        found = incident.diagnosed(quiet, cache.hit_rate.given(), *CAUSES)
        slow = performance_degradation.CACHE[0](quiet)
    assert found.symptom.status is Status.OK
    assert "BullMQ excluded" in found.symptom.message
    assert incident.names(found) == []
    assert len(found.ruled_out) == len(CAUSES)
    assert any("BullMQ is excluded" in each.message for each in found.ruled_out)
    assert (slow.name, slow.status) == ("cache.hit_rate", Status.OK)


def test_a_cold_cache_is_found_beside_the_lookups_of_bullmq(demo: Target) -> None:
    faults.inject("cold-cache")
    with jobs(demo):
        time.sleep(1)
        found = incident.diagnosed(demo, cache.hit_rate.given(), *CAUSES)
        slow = performance_degradation.CACHE[0](demo)
    assert incident.names(found) == ["misses.cold"]
    assert "BullMQ is excluded" in found.causes[0].message
    assert slow.remedies[0].runbook == "troubleshooting/high_cache_miss_rate"


@pytest.mark.parametrize("binary", BINARIES, ids=lambda binary: Path(binary).name)
@pytest.mark.parametrize("room", [200_000, -100_000], ids=["some room", "none"])
def test_while_memory_is_full_what_is_missing_was_thrown_away(
    tmp_path: Path, binary: str, room: int
) -> None:
    server = start(tmp_path / "full", "--maxmemory-policy", "allkeys-lru", binary=binary)
    client = server.client()
    client.config_set("maxmemory", client.info("memory")["used_memory"] + room)
    ended = threading.Event()

    def use() -> None:
        with server.client() as other:
            for number in itertools.cycle(range(1000)):
                if ended.wait(0.001):
                    return
                if not other.get(f"project:{number}"):
                    with suppress(redis.OutOfMemoryError):
                        other.set(f"project:{number}", "x" * 1000)

    user = threading.Thread(target=use)
    user.start()
    try:
        time.sleep(1)
        found = incident.diagnosed(server.target(), cache.hit_rate.given(), *CAUSES)
    finally:
        ended.set()
        user.join()
        server.kill()
    assert incident.names(found) == ["misses.evicted"]
    assert "memory is at its limit" in found.causes[0].message
    runbooks = [remedy.runbook for remedy in found.causes[0].remedies]
    assert runbooks == ["cache/key_patterns", "cache/health"]
