"""The state of Redis or Valkey: whether it responds, has room, and saves its data."""

from __future__ import annotations

import re
import time
from typing import Any

import redis

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status
from opsnb.systems.cache.connecting import connection
from opsnb.systems.cache.info import figure, read_info, server_time_s
from opsnb.systems.cache.keyspace import scan
from opsnb.systems.cache.server import QUEUES, SYSTEM
from opsnb.systems.cache.settings import Cache
from opsnb.systems.queues.settings import Queues
from opsnb.view.formats import MIB, span

_SEARCH_S = 1.0
_CLOCK_S = 2  # Redis counts its uptime in whole seconds


@check(
    probes=SYSTEM,
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
)
def ping(target: Target) -> Finding:
    """Redis connection"""
    with connection(target) as client:
        _ping(client)  # the connection is made outside the measurement
        clock = time.perf_counter()
        answer = _ping(client)
        took_ms = (time.perf_counter() - clock) * 1000
    return Finding(
        status=Status.OK,
        message=f"Redis answered PING with {answer} in {took_ms:.1f} ms.",
        value=took_ms,
        unit="ms",
    )


def _ping(client: redis.Redis) -> str:
    """Return the answer to PING; a refusal is an answer too."""
    try:
        client.ping()
    except redis.exceptions.NoPermissionError:
        return "NOPERM"
    return "PONG"


@check(
    needs=(SYSTEM,), treated_by=treated_by("cache/key_patterns", "shows which keys use the memory")
)
def memory(target: Target) -> Finding:
    """Redis memory"""
    with connection(target) as client:
        info = read_info(client)
    used, limit = figure(info, "used_memory"), info.get("maxmemory")
    rows = _memory_rows(info)
    if limit is None:
        evidence.partial("maxmemory, which this Redis does not report in INFO")
        message = f"Redis memory: {used / MIB:.1f} MiB in use."
        return Finding(status=Status.OK, message=message, value=used / MIB, unit="MiB", rows=rows)
    if not limit:
        message = (
            f"Redis memory: {used / MIB:.1f} MiB in use; no limit, because maxmemory is not set."
        )
        return Finding(status=Status.OK, message=message, value=used / MIB, unit="MiB", rows=rows)
    policy = info.get("maxmemory_policy", "noeviction")
    message = f"Redis memory: {used / MIB:.1f} of {limit / MIB:.0f} MiB in use ({policy})."
    threshold = target.threshold("memory_used_percent")
    finding = Finding.measured(100 * used / limit, threshold, message, rows=rows)
    if used >= limit and policy == "noeviction":
        finding.status = Status.CRIT
        finding.message = f"{message.rstrip('.')}: Redis is full and refuses every write."
    return finding


@check(needs=(QUEUES,), treated_by="set maxmemory-policy noeviction in the Redis of the queues")
def eviction(target: Target) -> Finding:
    """Eviction policy of Redis

    The Redis of the queues must evict nothing.
    """
    with connection(target, system=QUEUES) as client:
        info = read_info(client)
        is_named = bool(Queues.of(target).names) or Queues.of(target).url != Cache.of(target).url
        has_queues = is_named or _may_hold_queues(client, Queues.of(target).prefix)
    policy = info.get("maxmemory_policy")
    if policy is None:
        raise BadAnswer(QUEUES, "This Redis does not report maxmemory_policy in INFO.")
    if policy == "noeviction":
        return Finding(status=Status.OK, message="maxmemory-policy is noeviction.")
    if not has_queues:
        message = (
            f"maxmemory-policy is {policy}, which suits a cache: this Redis has no BullMQ queue."
        )
        return Finding(status=Status.OK, message=message)
    lost = "jobs" if policy.startswith("allkeys") else "locks of jobs, which then run twice,"
    message = f"maxmemory-policy is {policy}, so Redis may evict {lost} when it is full."
    return Finding(status=Status.WARN, message=message)


def _may_hold_queues(client: redis.Redis, prefix: str) -> bool:
    """Return whether there is a queue, or the search for one ended early."""
    ends = time.monotonic() + _SEARCH_S
    glob = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + ":*:meta"
    try:
        return any(keys or time.monotonic() > ends for keys in scan(client, glob.encode()))
    except redis.ResponseError:
        return True


@check(needs=(SYSTEM,), treated_by="set activedefrag, or give the host more memory")
def fragmentation(target: Target) -> Finding:
    """Fragmentation of Redis' memory"""
    with connection(target) as client:
        info = read_info(client)
    used, resident = figure(info, "used_memory"), figure(info, "used_memory_rss")
    ratio = resident / max(1, used)
    waste = target.limit("redis_waste_mib") * MIB
    status = Status.OK
    message = f"Redis memory: {resident / MIB:.0f} MiB resident for {used / MIB:.0f} MiB used."
    judged = target.threshold("redis_fragmentation_ratio").judge(ratio)
    if resident - used > waste and judged is not Status.OK:
        status = judged
        message += " The rest is fragmented: redis-cli CONFIG SET activedefrag yes."
    elif used - resident > waste:
        status = Status.WARN
        message += " The rest is swapped out, and reading it is slow: give the host more memory."
    rows = [
        {"fact": name, "value": info[name]}
        for name in ("mem_fragmentation_ratio", "allocator_frag_ratio", "mem_allocator")
        if name in info
    ]
    return Finding(status=status, message=message, value=round(ratio, 2), unit="x", rows=rows)


@check(needs=(SYSTEM,), treated_by="find the client that leaks connections, or raise maxclients")
def clients(target: Target) -> Finding:
    """Clients of Redis"""
    with connection(target) as client:
        info = read_info(client)
        most = info.get("maxclients") or _configured(client, "maxclients")
    count, refused = figure(info, "connected_clients"), int(info.get("rejected_connections", 0))
    rows = [
        {"clients": name, "count": info[key]}
        for name, key in (
            ("connected", "connected_clients"),
            ("blocked, waiting for jobs", "blocked_clients"),
            ("refused since the start", "rejected_connections"),
        )
        if key in info
    ]
    status, message = Status.OK, f"Redis has {count:,} clients"
    if most:
        message += f" of at most {int(most):,}"
        status = target.threshold("redis_clients_percent").judge(100 * count / int(most))
        if status is not Status.OK:
            message += "; find the one that leaks connections, or raise maxclients"
    else:
        limit = "how many may connect: INFO does not report maxclients, CONFIG GET is not permitted"
        # That none was refused since the start says that there was room.
        (evidence.without if info.get("rejected_connections") == 0 else evidence.partial)(limit)
    if refused:
        message += f"; {refused:,} were refused since the start"
    return Finding(status=status, message=message + ".", value=count, unit="clients", rows=rows)


@check(
    needs=(SYSTEM,),
    treated_by="make room on its disk or correct the rights of its folder, then BGSAVE",
)
def persistence(target: Target) -> Finding:
    """Persistence of Redis"""
    with connection(target) as client:
        info = read_info(client)
        now_s = server_time_s(client)
    saved_s = figure(info, "rdb_last_save_time")
    for name in ("rdb_last_bgsave_status", "aof_enabled"):
        if name not in info:
            evidence.partial(f"{name}, which this Redis does not report in INFO")
    kept = f"Redis: last RDB snapshot {span(max(0, now_s - saved_s))} ago"
    if _never_saved(info, now_s):
        kept = f"Redis has written no RDB snapshot since it started {span(now_s - saved_s)} ago"
    aof = bool(info.get("aof_enabled"))
    message = kept + (f"; AOF is {'on' if aof else 'off'}." if "aof_enabled" in info else ".")
    status = Status.OK
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        status = Status.CRIT
        message = "Redis failed to write its last RDB snapshot, and may refuse writes"
    elif aof and info.get("aof_last_write_status", "ok") != "ok":
        status, message = Status.CRIT, "Redis failed to write its AOF, and refuses writes"
    elif aof and info.get("aof_last_bgrewrite_status", "ok") != "ok":
        status, message = Status.WARN, "Redis failed to rewrite its AOF, which grows"
    if status is not Status.OK:
        message += "; check its log, its disk and the rights of its folder, then BGSAVE."
    rows = [
        {"fact": name, "value": value}
        for name, value in info.items()
        if name.startswith(("rdb_last", "rdb_changes", "aof_enabled", "aof_last"))
    ]
    return Finding(status=status, message=message, rows=rows)


def _never_saved(info: dict[str, Any], now_s: float) -> bool:
    """Return whether the time of the last snapshot is only that of the start of Redis."""
    started_s = now_s - figure(info, "uptime_in_seconds")
    return (
        info.get("rdb_last_bgsave_time_sec") == -1
        and figure(info, "rdb_last_save_time") <= started_s + _CLOCK_S
    )


def _configured(client: redis.Redis, name: str) -> Any:
    """Return a setting of the server; None where CONFIG is not permitted, as often if hosted."""
    try:
        found: Any = client.config_get(name)
    except redis.ResponseError:
        return None
    return found.get(name)


def _memory_rows(info: dict[str, float]) -> list[Row]:
    fields = {
        "used": "used_memory",
        "peak": "used_memory_peak",
        "resident": "used_memory_rss",
        "maxmemory": "maxmemory",
    }
    rows: list[Row] = [
        {"memory": name, "MiB": round(info[key] / MIB, 1)}
        for name, key in fields.items()
        if info.get(key)
    ]
    return rows
