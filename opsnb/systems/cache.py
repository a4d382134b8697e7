"""Redis or Valkey, as the cache and as what BullMQ stands on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from opsnb.check import check
from opsnb.errors import BadAnswer, NotConfigured, ServiceError, TimedOut, Unreachable
from opsnb.model import Finding, Row, Status
from opsnb.redaction import safe_url
from opsnb.target import Target

SYSTEM = "redis"
_MIB = 1024 * 1024


@contextmanager
def connection(target: Target) -> Iterator[redis.Redis]:
    """Yield a connection to the target's Redis; the driver's errors come out as ServiceErrors."""
    with (
        errors(target),
        redis.Redis.from_url(
            target.redis_url,
            socket_timeout=target.time_limit_s,
            socket_connect_timeout=target.time_limit_s,
            client_name="opsnb",
            decode_responses=True,
            encoding_errors="replace",
            retry=None,
        ) as client,
    ):
        yield client


@contextmanager
def errors(target: Target) -> Iterator[None]:
    """Map what redis-py raises within to ServiceErrors: the one place that knows its exceptions."""
    if not target.redis_url:
        raise NotConfigured(SYSTEM, f"Target {target.name} names no redis_url in opsnb.toml.")
    where = f"Redis at {safe_url(target.redis_url)}"
    try:
        yield
    except ServiceError:
        raise
    except redis.TimeoutError as error:
        message = f"{where} did not answer within {target.time_limit_s:g} s."
        raise TimedOut(SYSTEM, message) from error
    except redis.AuthenticationError as error:
        message = f"{where} refuses the login: {error}. Correct redis_url."
        raise Unreachable(SYSTEM, message) from error
    except redis.BusyLoadingError as error:
        message = f"{where} is still loading its data; wait until it has."
        raise Unreachable(SYSTEM, message) from error
    except (redis.ConnectionError, OSError) as error:
        raise Unreachable(SYSTEM, f"{where} cannot be reached: {_reason(error)}.") from error
    except redis.RedisError as error:
        raise BadAnswer(SYSTEM, f"{where} answered with an error: {error}.") from error


@check(probes=SYSTEM)
def ping(target: Target) -> Finding:
    """Redis connection"""
    with connection(target) as client:
        client.ping()  # the connection is made outside the measurement
        clock = time.perf_counter()
        client.ping()
        took_ms = (time.perf_counter() - clock) * 1000
    return Finding(
        status=Status.OK,
        message=f"PING was answered with PONG in {took_ms:.1f} ms.",
        value=took_ms,
        unit="ms",
    )


@check(needs=(SYSTEM,))
def memory(target: Target) -> Finding:
    """Redis memory"""
    with connection(target) as client:
        info = client.info("memory")
    used, limit = info["used_memory"], info.get("maxmemory", 0)
    rows = _memory_rows(info)
    if not limit:
        message = f"{used / _MIB:.1f} MiB in use; maxmemory is not set, so nothing bounds it."
        return Finding(status=Status.OK, message=message, value=used / _MIB, unit="MiB", rows=rows)
    policy = info.get("maxmemory_policy", "noeviction")
    message = f"{used / _MIB:.1f} of {limit / _MIB:.0f} MiB in use ({policy})."
    threshold = target.threshold("memory_used_percent")
    return Finding.measured(100 * used / limit, threshold, message, rows=rows)


@check(needs=(SYSTEM,))
def eviction(target: Target) -> Finding:
    """Eviction policy of Redis"""
    with connection(target) as client:
        policy = client.info("memory").get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return Finding(status=Status.OK, message="maxmemory-policy is noeviction.")
    message = f"maxmemory-policy is {policy}, so Redis may throw away jobs when it is full."
    return Finding(status=Status.WARN, message=message)


def _memory_rows(info: dict[str, float]) -> list[Row]:
    fields = {
        "used": "used_memory",
        "peak": "used_memory_peak",
        "resident": "used_memory_rss",
        "maxmemory": "maxmemory",
    }
    rows: list[Row] = [
        {"memory": name, "MiB": round(info[key] / _MIB, 1)}
        for name, key in fields.items()
        if info.get(key)
    ]
    return rows


def _reason(error: Exception) -> str:
    """Return the operating system's words for `error`, without its number and address."""
    cause = error.__cause__ or error.__context__ or error
    text = str(cause).rstrip(".")
    if isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror
    return text.partition("Connect call failed")[0].strip() or text
