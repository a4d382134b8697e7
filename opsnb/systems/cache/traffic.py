"""How much a server does, how quickly, and what it evicts."""

from __future__ import annotations

import time
from itertools import pairwise

from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.systems.cache.connecting import connection
from opsnb.systems.cache.counters import WATCHING_LIMIT_S, grown, watch
from opsnb.systems.cache.info import figure
from opsnb.systems.cache.server import SYSTEM
from opsnb.systems.percentiles import percentile

_PINGS = 200
_PINGING_S = 3.0


@check(
    needs=(SYSTEM,),
    limit_s=WATCHING_LIMIT_S,
    treated_by=treated_by("cache/key_patterns", "shows which keys use the memory"),
)
def evictions(target: Target, seconds: float = 2) -> Finding:
    """Evictions.

    Keys that Redis removed because it was full, in the next `seconds` and since it started.
    """
    with connection(target) as client:
        (_, first), *_, (_, last) = watch(client, seconds)
    ever = figure(last, "evicted_keys")
    now = grown("evicted_keys", last, first)
    message = f"Redis evicted {now:,} keys in {seconds:g} s, {ever:,} since the start."
    rows = [
        {"keys": "evicted", "count": ever},
        {"keys": "expired", "count": figure(last, "expired_keys")},
    ]
    if not now:
        return Finding(status=Status.OK, message=message, value=0, unit="keys", rows=rows)
    message += " maxmemory is too small: raise it, or shorten the times to live."
    return Finding(status=Status.WARN, message=message, value=now, unit="keys", rows=rows)


@check(needs=(SYSTEM,), limit_s=WATCHING_LIMIT_S)
def throughput(target: Target, seconds: float = 5) -> Finding:
    """Commands a second"""
    with connection(target) as client:
        moments = list(watch(client, seconds))
    rows = []
    for (start, before), (end, after) in pairwise(moments):
        done = grown("total_commands_processed", after, before)
        rows.append({"second": round(end, 1), "ops_per_s": round(done / (end - start))})
    done = grown("total_commands_processed", moments[-1][1], moments[0][1])
    rate = done / moments[-1][0]
    peak = max(row["ops_per_s"] for row in rows)
    message = f"Redis ran {rate:,.0f} commands a second over {seconds:g} s, at most {peak:,}."
    return Finding(status=Status.OK, message=message, value=round(rate), unit="ops/s", rows=rows)


@check(needs=(SYSTEM,), treated_by=treated_by("cache/performance", "shows the slow commands"))
def latency(target: Target) -> Finding:
    """Latency of Redis.

    How long a client on this machine waits for each of a few hundred PINGs in turn.
    """
    times_ms: list[float] = []
    with connection(target) as client:
        client.ping()  # the connection is made outside the measurement
        ends = time.monotonic() + _PINGING_S
        while len(times_ms) < _PINGS and (not times_ms or time.monotonic() < ends):
            clock = time.perf_counter()
            client.ping()
            times_ms.append((time.perf_counter() - clock) * 1000)
            time.sleep(0.002)
    rows: list[Row] = [
        {"percentile": f"p{percent}", "ms": round(percentile(times_ms, percent), 2)}
        for percent in (50, 95, 99)
    ]
    rows.append({"percentile": "worst", "ms": round(max(times_ms), 2)})
    p95 = percentile(times_ms, 95)
    times = ", ".join(f"{row['percentile']} {row['ms']} ms" for row in rows)
    message = f"Redis latency: {times} ({len(times_ms)} PINGs)"
    status = target.threshold("redis_ping_ms").judge(p95)
    if status is not Status.OK:
        message += "; check the slow log, the host's load and the network"
    return Finding(status=status, message=message + ".", value=p95, unit="ms", rows=rows)
