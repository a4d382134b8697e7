"""Why the cache misses: it is empty, keys expire or are evicted, or are never cached.

Handbook, section 5.2. All causes are judged by the server's counters while it is watched.
"""

from __future__ import annotations

from opsnb.checks.causes import likely, ruled_out
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Remedy, Status
from opsnb.systems import cache
from opsnb.systems.cache import Losses
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database

RECORDED_AS = "misses"
_SYSTEMS = (cache.SYSTEM,)
_WATCHING_LIMIT_S = 75.0
_NOTEWORTHY = 0.3  # of the misses: a cause that explains fewer is not worth a remedy


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def expiring(target: Target, seconds: float = 2) -> Finding:
    """Keys that expire before they are read again"""
    seen = cache.losses(target, seconds)
    return _judge(
        target,
        seen,
        seen.expired,
        f"{seen.expired:,} keys expired",
        *_long_lived(target),
        Remedy.of("cache/key_patterns", "shows how long which keys live"),
        *_warm_up(target, "loads what is read most, until the TTLs are corrected"),
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def evicted(target: Target, seconds: float = 2) -> Finding:
    """Evicted keys, memory full

    While memory is full, evictions explain what nothing else does: those keys were evicted before
    the watch, and a warmed-up cache would lose them again.
    """
    seen = cache.losses(target, seconds)
    return _judge(
        target,
        seen,
        seen.evicted if not seen.full else seen.evicted + _unexplained(seen),
        f"{seen.evicted:,} keys were evicted" + "; memory is at its limit" * seen.full,
        Remedy.of("cache/key_patterns", "shows what takes the memory"),
        Remedy.of("cache/health", "shows maxmemory and its policy"),
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def cold(target: Target, seconds: float = 2) -> Finding:
    """Cold cache"""
    seen, keys = cache.losses(target, seconds), cache.count(target)
    return _judge(
        target,
        seen,
        _unexplained(seen) if _is_sparse(seen, keys) and not seen.full else 0,
        f"the cache holds {keys:,} keys",
        *_warm_up(target, "makes the service load what is read most"),
        Remedy.of("cache/performance", "shows which families of keys are asked for"),
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def never_there(target: Target, seconds: float = 2) -> Finding:
    """Keys that are never cached"""
    seen, keys = cache.losses(target, seconds), cache.count(target)
    return _judge(
        target,
        seen,
        0 if _is_sparse(seen, keys) or seen.full else _unexplained(seen),
        f"the cache holds {keys:,} keys, and few expire or are evicted",
        Remedy.of("cache/performance", "shows which families of keys are asked for"),
    )


def _long_lived(target: Target) -> list[Remedy]:
    """Return the warm-up with its own times to live, for a service like the handbook's."""
    if not (cache.is_warmed_directly(target) and Database.of(target).url):
        return []
    return [
        Remedy.of(
            "cache/warm_up",
            "caches the projects for 15 minutes, until the TTLs are corrected",
            via="direct",
        )
    ]


def _warm_up(target: Target, why: str) -> list[Remedy]:
    """Return the warm-up, where the target has one."""
    if not Cache.of(target).warm_up:
        return []
    return [Remedy.of("cache/warm_up", why, apply=True)]


def _is_sparse(seen: Losses, keys: int) -> bool:
    """Whether the cache holds fewer keys than miss in a second, so that it is cold."""
    return keys < seen.misses / seen.seconds


def _unexplained(seen: Losses) -> int:
    """Return the misses that neither an expired key nor an evicted one explains."""
    return max(0, seen.misses - seen.expired - seen.evicted)


def _judge(target: Target, seen: Losses, explained: int, words: str, *remedies: Remedy) -> Finding:
    """Return the finding of a cause that explains `explained` misses."""
    share = min(1.0, explained / seen.misses) if seen.misses else 0.0
    missed = f"{seen.misses:,} of {seen.reads:,} cache reads missed in {seen.seconds:.0f} s"
    message = f"{missed}, and {words}."
    if seen.of_queues:
        message += " BullMQ is excluded."
    status = seen.status(target)
    if seen.unsure and status is not Status.OK:
        message = f"{message} Lookups of BullMQ may be among them: {seen.unsure}."
        return Finding(status=Status.UNKNOWN, message=message)
    if share < _NOTEWORTHY or status is Status.OK:
        return ruled_out(message)
    return likely(message, share, *remedies, status=status, value=round(100 * share), unit="%")
