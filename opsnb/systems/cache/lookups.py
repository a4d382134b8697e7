"""Hits and misses of the cache."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import ServiceError
from opsnb.model import Finding, Status
from opsnb.systems.cache.connecting import connection, figure
from opsnb.systems.cache.counters import WATCHING_LIMIT_S, grown, watch
from opsnb.systems.cache.monitor import Sample, sample_since
from opsnb.systems.cache.queue_keys import find_queues
from opsnb.systems.cache.server import SYSTEM, server_of
from opsnb.systems.queues.settings import Queues

_ENOUGH_READS = 100


_ENOUGH_MISSES = 20  # in the window; below it is no symptom


_FULL = 0.95  # of maxmemory


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
    """What was looked up in vain while the server was watched, and what went from it meanwhile."""

    seconds: float
    reads: int
    misses: int
    expired: int
    """Keys whose time to live was over."""
    evicted: int
    """Keys that Redis evicted because memory was full."""
    full: bool = False
    """Memory is at its limit, and the policy allows eviction."""
    of_queues: bool = False
    """Lookups of BullMQ were seen as well, and are not among the reads and misses."""
    unsure: str = ""
    """Why lookups of BullMQ may be among the reads and misses; empty when they are not."""

    @property
    def percent(self) -> float:
        """How much of the reads were misses."""
        return 100 * self.misses / self.reads if self.reads else 0.0

    def status(self, target: Target) -> Status:
        """Whether so many were looked up in vain that it needs a cause."""
        if self.misses < _ENOUGH_MISSES:
            return Status.OK
        return target.threshold("cache_hit_percent").judge(100 - self.percent)


def losses(target: Target, seconds: float) -> Losses:
    """Watch the server for so many seconds. Raises ServiceError.

    The server counts the lookups of BullMQ as well, most of which are within its scripts. When
    there are many misses, a sample of the commands tells which are the cache's.
    """
    began = time.monotonic()
    (_, before), *_, (took_s, after) = watch(target, seconds)
    reads = _reads(after, before)
    seen = Losses(
        took_s,
        reads.count,
        reads.misses,
        grown("expired_keys", after, before),
        grown("evicted_keys", after, before),
        full=_is_full(before),
    )
    if seen.status(target) is Status.OK:
        return seen
    sample = sample_since(target, began)
    if sample is not None:
        return _without_queues(seen, sample)
    return replace(seen, unsure=_no_monitor(target)) if _may_hold_queues(target) else seen


def _without_queues(seen: Losses, sample: Sample) -> Losses:
    """Return what was seen without the lookups of BullMQ, concluded from the sample."""
    if not sample.of_queues:
        return seen
    times = seen.seconds / sample.seconds
    reads = min(seen.reads, round(sample.reads * times))
    misses = min(seen.misses, reads, round(sample.misses * times))
    return replace(seen, reads=reads, misses=misses, of_queues=True)


def _is_full(info: dict[str, Any]) -> bool:
    limit = int(info.get("maxmemory", 0))
    evicts = info.get("maxmemory_policy", "noeviction") != "noeviction"
    return evicts and limit > 0 and figure(info, "used_memory") >= _FULL * limit


@check(needs=(SYSTEM,), limit_s=WATCHING_LIMIT_S)
def hit_rate(target: Target, seconds: float = 2) -> Finding:
    """Cache hit rate.

    Of the reads within the next `seconds`, when they are enough to judge; what was read since the
    server's start is told beside it. The server counts the lookups of BullMQ as well, and those
    of other checks: when too many miss, a sample of the commands is judged, in which they are
    left out.
    """
    began = time.monotonic()
    moments = list(watch(target, seconds))
    rows = []
    for (_, before), (at, after) in pairwise(moments):
        if (reads := _reads(after, before)).count:
            rows.append(
                {
                    "second": round(at, 1),
                    "hits": reads.hits,
                    "misses": reads.misses,
                    "hit_percent": reads.percent,
                }
            )
    now, ever = _reads(moments[-1][1], moments[0][1]), _reads(moments[-1][1])
    since = (
        f"{ever.percent:.1f} % since the start ({ever.count:,} reads)"
        if ever.count
        else "none ever"
    )
    limit = target.threshold("cache_hit_percent")
    others, unsure = "", False
    if now.count >= _ENOUGH_READS and limit.judge(now.percent) is not Status.OK:
        sample = sample_since(target, began)
        if sample:
            now, seconds = _Reads(sample.reads - sample.misses, sample.misses), sample.seconds
            others = ", BullMQ excluded"
        elif _may_hold_queues(target):
            unsure = True
            others = f", BullMQ's among them: {_no_monitor(target)}"
    if now.count < _ENOUGH_READS:
        message = (
            f"Hit rate unknown: {now.count:,} reads in {seconds:.2g} s{others}, too few; {since}."
        )
        return Finding(status=Status.OK, message=message, rows=rows)
    message = (
        f"Hit rate {now.percent:.1f} % ({now.count:,} reads in {seconds:.2g} s{others}); {since}."
    )
    found = Finding.measured(now.percent, limit, message, rows=rows)
    return found.model_copy(update={"status": Status.UNKNOWN}) if unsure else found


def _no_monitor(target: Target) -> str:
    login = server_of(target).login
    return f"MONITOR, which tells them apart, is not permitted; ACL SETUSER {login} +monitor"


def _may_hold_queues(target: Target) -> bool:
    """Say whether the cache's Redis holds queues, also where that cannot be known."""
    if not target.has_one_redis:
        return False
    if Queues.of(target).names:
        return True
    try:
        with connection(target, decode=False) as client:
            found = find_queues(client, time.monotonic() + 1)
    except ServiceError:
        return True
    return bool(found.names) or not found.complete


def _reads(after: dict[str, Any], before: dict[str, Any] | None = None) -> _Reads:
    return _Reads(*(grown(f"keyspace_{what}", after, before or {}) for what in ("hits", "misses")))
