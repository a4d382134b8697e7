"""The commands that a server runs, as MONITOR shows them."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis

from opsnb.systems.cache.connecting import Connection
from opsnb.systems.cache.wire import TooLarge

_SAMPLED = 10_000  # users come in bursts; a tenth of a second of commands would say little
_SAMPLED_S = 2.0


_LINE = re.compile(r"^(\d+\.\d+) \[(\d+) \S+\] (.*)$", re.DOTALL)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


class _Line(NamedTuple):
    """A command that the server has run, as MONITOR shows it."""

    at_s: float
    db: int
    words: list[str]


def monitor(client: redis.Redis, most: int, seconds: float) -> Iterator[_Line]:
    """Yield the commands that the server runs; the connection is always closed."""
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
class Sample:
    """Lookups of keys that MONITOR showed in a short while."""

    seconds: float
    reads: int
    """Of keys that belong to no queue, in the database of the cache."""
    misses: int
    """Those of them that found nothing."""
    of_queues: int
    """Lookups of keys that belong to queues, in any database."""


# The second word is the first key in all of them; how many keys follow differs.
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

    MONITOR shows no replies. But a client that misses loads the value and writes it, and a key that
    nobody writes is still missing afterwards.
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
        """Count as misses the keys that were looked up, not written, and do not exist."""
        unsure = [key for key in self._asked if key not in self._written]
        pipeline = client.pipeline(transaction=False)
        for key in unsure:
            pipeline.exists(_plain(key))
        for key, there in zip(unsure, pipeline.execute(), strict=True):
            self.misses += 0 if there else self._asked[key]


def _plain(word: str) -> bytes:
    """Return the bytes of a word, of which MONITOR escapes what is not printable."""
    return word.encode("ascii", "replace").decode("unicode_escape").encode("latin-1", "replace")


_SAMPLING = threading.Lock()
_samples: dict[tuple[str, str], tuple[float, Sample | None]] = {}


def sample_since(client: Connection, prefix: str, began: float) -> Sample | None:
    """Return a sample that began after `began`; None where MONITOR is not permitted.

    `prefix` is what the keys of queues begin with. MONITOR slows the server down, so checks that
    run at the same time share one sample.
    """
    where = (client.server.url, prefix)
    with _SAMPLING:
        at, sample = _samples.get(where, (0.0, None))
        if at < began:
            at, sample = time.monotonic(), _sample(client, prefix)
            _samples[where] = (at, sample)
        return sample


def _sample(client: Connection, prefix: str) -> Sample | None:
    seen = _Lookups(prefix)
    times_s: list[float] = []
    try:
        for line in monitor(client, _SAMPLED, _SAMPLED_S):
            times_s.append(line.at_s)
            seen.add(line.words, ours=line.db == client.db)
        seen.end(client)
    except (redis.ResponseError, TooLarge):
        return None
    # By the server's clock: it may run commands faster than we read them.
    took_s = times_s[-1] - times_s[0] if len(times_s) == _SAMPLED else _SAMPLED_S
    return Sample(max(took_s, 0.001), seen.reads, seen.misses, seen.of_queues)
