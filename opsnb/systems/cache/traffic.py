"""What is asked of the cache and how well it answers, watched for a short while."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import redis

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import ServiceError
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.systems.api import percentile
from opsnb.systems.cache.connection import connection, figure, read_info, server_time_s
from opsnb.systems.cache.keyspace import family, queue_prefix
from opsnb.systems.cache.queue_keys import find_queues
from opsnb.systems.cache.server import SYSTEM, server_of
from opsnb.systems.cache.wire import TooLarge
from opsnb.view.formats import span

_WATCHING_LIMIT_S = 75.0  # a window is a minute at most
_MOST_STEPS = 20
_LEAST_STEP_S = 0.25
_ENOUGH_READS = 100
_PINGS = 200
_PINGING_S = 3.0
_SLOW_PING_MS = 50.0
_BLOCKED_MS = 100.0
_RECENT_S = 600
_SHOWN = 12
_ENOUGH_MISSES = 20  # in the window; below it is no symptom
_SAMPLED = 10_000  # users come in bursts; a tenth of a second of commands would tell little
_SAMPLED_S = 2.0
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
    (_, before), *_, (took_s, after) = _watch(target, seconds)
    reads = _reads(after, before)
    seen = Losses(
        took_s,
        reads.count,
        reads.misses,
        _grown("expired_keys", after, before),
        _grown("evicted_keys", after, before),
        full=_is_full(before),
    )
    if seen.status(target) is Status.OK:
        return seen
    sample = _sample_since(target, began)
    if sample is not None:
        return _without_queues(seen, sample)
    return replace(seen, unsure=_no_monitor(target)) if _may_hold_queues(target) else seen


def _without_queues(seen: Losses, sample: _Sample) -> Losses:
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


@check(needs=(SYSTEM,), limit_s=_WATCHING_LIMIT_S)
def hit_rate(target: Target, seconds: float = 2) -> Finding:
    """Cache hit rate.

    Of the reads within the next `seconds`, when they are enough to judge; what was read since the
    server's start is told beside it. The server counts the lookups of BullMQ as well, and those
    of other checks: when too many miss, a sample of the commands is judged, in which they are
    left out.
    """
    began = time.monotonic()
    moments = list(_watch(target, seconds))
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
        sample = _sample_since(target, began)
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
    if target.queues.names:
        return True
    try:
        with connection(target, decode=False) as client:
            found = find_queues(client, time.monotonic() + 1)
    except ServiceError:
        return True
    return bool(found.names) or not found.complete


@check(
    needs=(SYSTEM,),
    limit_s=_WATCHING_LIMIT_S,
    treated_by=treated_by("cache/key_patterns", "shows which keys use the memory"),
)
def evictions(target: Target, seconds: float = 2) -> Finding:
    """Evictions.

    Keys that Redis threw away because it was full, within the next `seconds` and since its start.
    """
    (_, first), *_, (_, last) = _watch(target, seconds)
    ever = figure(last, "evicted_keys")
    now = _grown("evicted_keys", last, first)
    message = f"Redis evicted {now:,} keys in {seconds:g} s, {ever:,} since the start."
    rows = [
        {"keys": "evicted", "count": ever},
        {"keys": "expired", "count": figure(last, "expired_keys")},
    ]
    if not now:
        return Finding(status=Status.OK, message=message, value=0, unit="keys", rows=rows)
    message += " maxmemory is too small: raise it, or shorten the times to live."
    return Finding(status=Status.WARN, message=message, value=now, unit="keys", rows=rows)


@check(needs=(SYSTEM,), limit_s=_WATCHING_LIMIT_S)
def throughput(target: Target, seconds: float = 5) -> Finding:
    """Commands a second"""
    moments = list(_watch(target, seconds))
    rows = []
    for (start, before), (end, after) in pairwise(moments):
        done = _grown("total_commands_processed", after, before)
        rows.append({"second": round(end, 1), "ops_per_s": round(done / (end - start))})
    done = _grown("total_commands_processed", moments[-1][1], moments[0][1])
    rate = done / moments[-1][0]
    peak = max(row["ops_per_s"] for row in rows)
    message = f"Redis ran {rate:,.0f} commands a second over {seconds:g} s, at most {peak:,}."
    return Finding(status=Status.OK, message=message, value=round(rate), unit="ops/s", rows=rows)


@check(needs=(SYSTEM,), treated_by=treated_by("cache/performance", "shows the slow commands"))
def latency(target: Target) -> Finding:
    """Latency of Redis.

    Of a few hundred PINGs, one after another, as a client on this machine waits for them.
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
    message = f"Redis latency: {times}"
    message += f" ({len(times_ms)} PINGs)"
    status = Status.OK
    if p95 > _SLOW_PING_MS:
        status = Status.WARN
        message += "; check the slow log, the host's load and the network"
    return Finding(status=status, message=message + ".", value=p95, unit="ms", rows=rows)


@check(needs=(SYSTEM,), treated_by="the service has to send other commands; the rows show which")
def slow_log(target: Target, limit: int = 50) -> Finding:
    """Slow commands.

    The server's slow log: when, how long, which command on which family of keys. Arguments are
    not shown.
    """
    with connection(target) as client:
        entries = client.slowlog_get(limit)
        now_s = server_time_s(client)
        if _is_off(client):
            evidence.partial("slow commands: the slow log is off (slowlog-log-slower-than)")
        positions = _key_positions(client)
    rows = []
    recent_ms = [0.0]
    for entry in entries:
        words = _words(entry["command"])
        took_ms, ago_s = entry["duration"] / 1000, now_s - entry["start_time"]
        if ago_s <= _RECENT_S:
            recent_ms.append(took_ms)
        rows.append(
            {
                "ago": span(ago_s),
                "ms": round(took_ms, 1),
                "command": words[0].upper(),
                "keys": _family_of(words, positions),
            }
        )
    rows.sort(key=lambda row: -float(row["ms"]))
    worst_ms = max(recent_ms)
    message = f"Redis logged {len(recent_ms) - 1} slow commands in the last 10 minutes"
    status = Status.OK
    if len(recent_ms) > 1:
        message += f", the slowest took {worst_ms:.0f} ms"
    if worst_ms > _BLOCKED_MS:
        status = Status.WARN
        message += "; every client waited for it: find the one that sends it"
    return Finding(
        status=status, message=message + ".", value=round(worst_ms, 1), unit="ms", rows=rows
    )


@check(needs=(SYSTEM,), limit_s=_WATCHING_LIMIT_S)
def commands(target: Target, most: int = 1000, seconds: float = 5) -> Finding:
    """Top commands.

    By MONITOR, until `most` commands or `seconds` have passed. It slows the server down as long
    as it runs; with `most` 0 it is not started. Of a command's arguments only the family of its
    key is kept.
    """
    if not most:
        return Finding(status=Status.SKIPPED, message="MONITOR is off (monitor=0).")
    with connection(target) as client:
        positions = _key_positions(client)
        seen: Counter[str] = Counter()
        clock = time.monotonic()
        for _, _, words in _monitor(client, most, seconds):
            seen[f"{words[0].upper()} {_family_of(words, positions)}".rstrip()] += 1
        took_s = time.monotonic() - clock
    count = seen.total()
    rows: list[Row] = [
        {"command": command, "count": n, "percent": round(100 * n / count, 1)}
        for command, n in seen.most_common(_SHOWN)
    ]
    message = f"Redis ran {count:,} commands in {took_s:.1f} s"
    if rows:
        message += f"; {rows[0]['percent']:.0f} % of them {rows[0]['command']}"
    return Finding(status=Status.OK, message=message + ".", value=count, unit="commands", rows=rows)


def _watch(target: Target, seconds: float) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the server's statistics several times over `seconds`, each with the seconds passed."""
    steps = max(1, min(_MOST_STEPS, round(seconds / _LEAST_STEP_S)))
    with connection(target) as client:
        clock = time.monotonic()
        yield 0.0, read_info(client)
        for step in range(1, steps + 1):
            time.sleep(max(0.0, clock + seconds * step / steps - time.monotonic()))
            yield time.monotonic() - clock, read_info(client, "stats")


def _reads(after: dict[str, Any], before: dict[str, Any] | None = None) -> _Reads:
    return _Reads(*(_grown(f"keyspace_{what}", after, before or {}) for what in ("hits", "misses")))


def _grown(name: str, after: dict[str, Any], before: dict[str, Any]) -> int:
    """Return by how much a counter has grown; somebody may have set it to 0 meanwhile."""
    return max(0, figure(after, name) - (figure(before, name) if before else 0))


_LINE = re.compile(r"^(\d+\.\d+) \[(\d+) \S+\] (.*)$", re.DOTALL)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


class _Line(NamedTuple):
    """A command that the server has run, as MONITOR tells it."""

    at_s: float
    db: int
    words: list[str]


def _monitor(client: redis.Redis, most: int, seconds: float) -> Iterator[_Line]:
    """Yield the commands that the server runs; the connection is closed in any case."""
    wire: Any = client.connection_pool.get_connection()
    try:
        wire.send_command("MONITOR")
        wire.read_response()
        ends = time.monotonic() + seconds
        count = 0
        while count < most and (left := ends - time.monotonic()) > 0:
            if not wire.can_read(timeout=left):
                return
            line = _LINE.match(str(wire.read_response()))
            if line and (words := _WORD.findall(line[3])):
                count += 1
                yield _Line(float(line[1]), int(line[2]), words)
    finally:
        wire.disconnect()
        client.connection_pool.release(wire)


@dataclass(frozen=True)
class _Sample:
    """Lookups of keys, seen by MONITOR for a short while."""

    seconds: float
    reads: int
    """Of keys that belong to no queue, in the database of the cache."""
    misses: int
    """Those of them that found nothing."""
    of_queues: int
    """Lookups of keys that belong to queues, in any database."""


# At which word the first key stands is the same for all: the second. How many follow is not.
_ONE_KEY, _ALL_KEYS, _EVERY_OTHER = slice(1, 2), slice(1, None), slice(1, None, 2)
_LOOKUPS = {
    "get": _ONE_KEY,
    "getex": _ONE_KEY,
    "hget": _ONE_KEY,
    "hgetall": _ONE_KEY,
    "hmget": _ONE_KEY,
    "mget": _ALL_KEYS,
    "exists": _ALL_KEYS,
}
_WRITES = {
    "set": _ONE_KEY,
    "setex": _ONE_KEY,
    "psetex": _ONE_KEY,
    "setnx": _ONE_KEY,
    "hset": _ONE_KEY,
    "hmset": _ONE_KEY,
    "mset": _EVERY_OTHER,
}


class _Lookups:
    """Counts the lookups of a cache, and those that found nothing.

    MONITOR shows no answers. But who misses loads the value and writes it, and what nobody writes
    is still missing afterwards.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.reads = self.misses = self.of_queues = 0
        self._asked: Counter[str] = Counter()
        self._written: set[str] = set()

    def add(self, words: list[str], *, ours: bool) -> None:
        """Count a command; `ours` when it was run in the database of the cache."""
        name = words[0].lower()
        for key in words[_LOOKUPS.get(name, slice(0))]:
            if key.startswith(self._prefix):
                self.of_queues += 1
            elif ours:
                self.reads += 1
                self._asked[key] += 1
        for key in words[_WRITES.get(name, slice(0))] if ours else []:
            self._written.add(key)
            if self._asked[key] > 0:
                self._asked[key] -= 1
                self.misses += 1

    def end(self, client: redis.Redis) -> None:
        """Look which keys that were asked for and not written are not there."""
        unsure = [key for key in self._asked if key not in self._written]
        pipeline = client.pipeline(transaction=False)
        for key in unsure:
            pipeline.exists(_plain(key))
        for key, there in zip(unsure, pipeline.execute(), strict=True):
            self.misses += 0 if there else self._asked[key]


def _plain(word: str) -> bytes:
    """Return a word of MONITOR, which escapes what is not printable, as the bytes that it was."""
    return word.encode("ascii", "replace").decode("unicode_escape").encode("latin-1", "replace")


_SAMPLING = threading.Lock()
_samples: dict[tuple[str, str], tuple[float, _Sample | None]] = {}


def _sample_since(target: Target, began: float) -> _Sample | None:
    """Return a sample that was begun after `began`; None where MONITOR is not permitted.

    MONITOR slows the server down, so one sample serves all who ask for it at the same time.
    """
    where = (target.cache.url, target.queues.prefix)
    with _SAMPLING:
        at, sample = _samples.get(where, (0.0, None))
        if at < began:
            at, sample = time.monotonic(), _sample(target)
            _samples[where] = (at, sample)
        return sample


def _sample(target: Target) -> _Sample | None:
    seen = _Lookups(queue_prefix(target).decode())
    times_s: list[float] = []
    with connection(target) as client:
        own = int(client.connection_pool.connection_kwargs.get("db") or 0)
        try:
            for line in _monitor(client, _SAMPLED, _SAMPLED_S):
                times_s.append(line.at_s)
                seen.add(line.words, ours=line.db == own)
            seen.end(client)
        except (redis.ResponseError, TooLarge):
            return None
    # By the server's clock: it may run commands faster than we read of them.
    took_s = times_s[-1] - times_s[0] if len(times_s) == _SAMPLED else _SAMPLED_S
    return _Sample(max(took_s, 0.001), seen.reads, seen.misses, seen.of_queues)


def _key_positions(client: redis.Redis) -> dict[str, int]:
    """Return at which word each command has its first key; empty where COMMAND is not permitted."""
    try:
        found: dict[str, dict[str, Any]] = client.command()
    except redis.ResponseError:
        return {}
    return {name.lower(): int(facts["first_key_pos"]) for name, facts in found.items()}


_SCRIPTS = ("eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro")


def _family_of(words: list[str], positions: dict[str, int]) -> str:
    """Return the family of a command's first key; nothing when it has none that is known."""
    name = words[0].lower()
    at = positions.get(name, 0)
    if name in _SCRIPTS:
        at = 3 if words[2:3] not in ([], ["0"]) else 0
    if not 0 < at < len(words):
        return ""
    key, behind = words[at], " ".join(words[at + 1 :])
    if key.endswith("...") and behind.startswith("("):  # the server cuts what is long
        key = outside.opened(key.removesuffix("..."))
    return family(key)


def _is_off(client: redis.Redis) -> bool:
    """Say whether the server keeps no slow log; where CONFIG is not permitted, that it does."""
    try:
        found: Any = client.config_get("slowlog-*")
    except redis.ResponseError:
        return False
    slower_than, most = (found.get(f"slowlog-{key}") for key in ("log-slower-than", "max-len"))
    return str(slower_than).startswith("-") or str(most) == "0"


def _words(command: Any) -> list[str]:
    """Return a command of the slow log as words."""
    text = command.decode(errors="replace") if isinstance(command, bytes) else str(command)
    return text.split() or [""]
