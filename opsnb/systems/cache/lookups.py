"""Hits and misses of the cache.

The server counts the lookups of BullMQ too, most of which happen inside its scripts. When many
miss, a sample of the commands shows which are the cache's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import redis

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.systems.cache.connecting import Connection, connection
from opsnb.systems.cache.counters import WATCHING_LIMIT_S, grown, watch
from opsnb.systems.cache.info import figure
from opsnb.systems.cache.keyspace import queue_prefix
from opsnb.systems.cache.monitor import Sample, sample_since
from opsnb.systems.cache.queue_keys import find_queues
from opsnb.systems.cache.server import SYSTEM
from opsnb.systems.queues.settings import Queues, shares_redis
from opsnb.view.formats import counted

_SEARCH_S = 1.0


@dataclass(frozen=True)
class _Reads:
    """Lookups of keys."""

    hits: int
    misses: int

    @property
    def count(self) -> int:
        return self.hits + self.misses

    @property
    def percent(self) -> float:
        return round(100 * self.hits / self.count, 1)


@dataclass(frozen=True)
class Losses:
    """The lookups that missed while opsnb watched the server, and the keys that it lost."""

    seconds: float
    reads: int
    misses: int
    expired: int
    """Keys whose time to live ended."""
    evicted: int
    """Keys that Redis evicted because memory was full."""
    full: bool = False
    """Memory is at its limit, and the policy allows eviction."""
    of_queues: bool = False
    """BullMQ looked keys up too; the reads and misses leave those out."""
    unsure: str = ""
    """Why the reads and misses may include lookups of BullMQ; empty when they do not."""

    @property
    def percent(self) -> float:
        """The share of the reads that missed."""
        return 100 * self.misses / self.reads if self.reads else 0.0

    def status(self, target: Target) -> Status:
        """Return the status: enough misses need a cause."""
        if self.misses < target.limit("cache_misses"):
            return Status.OK
        return target.threshold("cache_hit_percent").judge(100 - self.percent)


def losses(target: Target, seconds: float) -> Losses:
    """Watch the server for `seconds`. Raises ServiceError."""
    began = time.monotonic()
    with connection(target) as client:
        (_, before), *_, (took_s, after) = watch(client, seconds)
        reads = _reads(after, before)
        seen = Losses(
            took_s,
            reads.count,
            reads.misses,
            grown("expired_keys", after, before),
            grown("evicted_keys", after, before),
            full=_is_full(before, target.limit("redis_full_percent")),
        )
        if seen.status(target) is Status.OK:
            return seen
        sample = sample_since(client, queue_prefix(target), began)
        if sample is not None:
            return _without_queues(seen, sample)
        return (
            replace(seen, unsure=_no_monitor(client)) if _may_hold_queues(target, client) else seen
        )


def _without_queues(seen: Losses, sample: Sample) -> Losses:
    """Return the losses without the lookups of BullMQ, extrapolated from the sample."""
    if not sample.of_queues:
        return seen
    times = seen.seconds / sample.seconds
    reads = min(seen.reads, round(sample.reads * times))
    misses = min(seen.misses, reads, round(sample.misses * times))
    return replace(seen, reads=reads, misses=misses, of_queues=True)


def _is_full(info: dict[str, Any], percent: float) -> bool:
    """Return whether so many percent of the memory are used, and Redis evicts keys then."""
    limit = int(info.get("maxmemory", 0))
    evicts = info.get("maxmemory_policy", "noeviction") != "noeviction"
    return evicts and limit > 0 and 100 * figure(info, "used_memory") >= percent * limit


@check(needs=(SYSTEM,), limit_s=WATCHING_LIMIT_S)
def hit_rate(target: Target, seconds: float = 2) -> Finding:
    """Cache hit rate.

    Of the reads in the next `seconds`, if there are enough to judge; the rate since the server
    started is shown beside it. When too many miss, a sample of the commands is judged instead,
    without the lookups of BullMQ.
    """
    began = time.monotonic()
    limit, enough = target.threshold("cache_hit_percent"), target.limit("cache_reads")
    others, unsure = "", False
    with connection(target) as client:
        moments = list(watch(client, seconds))
        now, ever = _reads(moments[-1][1], moments[0][1]), _reads(moments[-1][1])
        if now.count >= enough and limit.judge(now.percent) is not Status.OK:
            sample = sample_since(client, queue_prefix(target), began)
            if sample:
                now, seconds = _Reads(sample.reads - sample.misses, sample.misses), sample.seconds
                others = ", BullMQ excluded"
            elif _may_hold_queues(target, client):
                unsure = True
                others = f", BullMQ's among them: {_no_monitor(client)}"
    rows = _rows(moments)
    since = (
        f"{ever.percent:.1f} % since the start ({ever.count:,} reads)"
        if ever.count
        else "no reads since the start"
    )
    if now.count < enough:
        message = (
            f"Cache: {counted(now.count, 'read') if now.count else 'no reads'} in "
            f"{seconds:.2g} s{others}, too few for the hit rate to matter; {since}."
        )
        return Finding(status=Status.OK, message=message, rows=rows)
    message = (
        f"Hit rate {now.percent:.1f} % ({now.count:,} reads in {seconds:.2g} s{others}); {since}."
    )
    finding = Finding.measured(now.percent, limit, message, rows=rows)
    return finding.model_copy(update={"status": Status.UNKNOWN}) if unsure else finding


def _rows(moments: list[tuple[float, dict[str, Any]]]) -> list[Row]:
    """Return the hits and misses of each step that had any."""
    return [
        {
            "second": round(at, 1),
            "hits": reads.hits,
            "misses": reads.misses,
            "hit_percent": reads.percent,
        }
        for (_, before), (at, after) in pairwise(moments)
        if (reads := _reads(after, before)).count
    ]


def _no_monitor(client: Connection) -> str:
    return (
        f"MONITOR, which distinguishes them, is not permitted; ACL SETUSER {client.login} +monitor"
    )


def _may_hold_queues(target: Target, client: Connection) -> bool:
    """Return whether the cache's Redis holds queues; True where that cannot be known."""
    if not shares_redis(target):
        return False
    if Queues.of(target).names:
        return True
    try:
        queues = find_queues(client.raw(), time.monotonic() + _SEARCH_S)
    except (redis.RedisError, OSError):
        return True
    return bool(queues.names) or not queues.complete


def _reads(after: dict[str, Any], before: dict[str, Any] | None = None) -> _Reads:
    return _Reads(*(grown(f"keyspace_{what}", after, before or {}) for what in ("hits", "misses")))
