"""Counting the keys that match, and those of queues among them, by bounded scans."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import redis

from opsnb.config.target import Target
from opsnb.systems.cache.connecting import connection
from opsnb.systems.cache.keyspace import (
    SCAN_COUNT,
    chosen_patterns,
    family,
    matching,
    queue_prefix,
    scan,
    text,
)
from opsnb.systems.cache.queue_keys import FoundQueues, prefix_of

_SAMPLE = 200
_FAMILIES_OF = 20_000  # keys; more add no family worth naming


@dataclass(frozen=True)
class Tally:
    """How many keys match."""

    matching: int
    spared: Counter[str]
    """How many match and stay because they belong to queues, by the queues' prefix."""
    looked_at: int
    total: int
    """How many keys the database holds."""
    complete: bool
    """False when the count stopped early."""
    sample: list[bytes]
    families: Counter[str] = field(default_factory=Counter)
    """Of the first keys that match."""

    @property
    def estimate(self) -> int:
        """How many keys match in the whole database: counted, or extrapolated from a part of it."""
        if self.complete or not self.looked_at:
            return self.matching
        return round(self.matching * self.total / self.looked_at)


def scan_all(
    client: redis.Redis, patterns: Sequence[bytes] | None
) -> Iterator[tuple[list[bytes], int]]:
    """Yield the keys that match one of the patterns in batches, each key for one pattern only.

    With each batch comes how many keys it stands for: each pattern takes a pass over all keys.
    """
    if patterns is None:
        for keys in scan(client):
            yield keys, SCAN_COUNT
        return
    earlier: list[re.Pattern[bytes]] = []
    for pattern in patterns:
        for keys in scan(client, pattern):
            new = [key for key in keys if not any(one.match(key) for one in earlier)]
            yield new, 0 if earlier else SCAN_COUNT
        earlier.append(matching(pattern))


def tally(
    client: redis.Redis, patterns: Sequence[bytes] | None, queues: FoundQueues, ends: float
) -> Tally:
    """Count the keys that match and belong to none of `queues`, until the monotonic time `ends`."""
    found = looked_at = 0
    complete, sample = True, list[bytes]()
    spared, families = Counter[str](), Counter[str]()
    total = int(client.dbsize())
    for keys, count in scan_all(client, patterns):
        ours = []
        for key in keys:
            owner = queues.owner(key)
            if owner is None:
                ours.append(key)
            else:
                spared[prefix_of(owner)] += 1
        if found < _FAMILIES_OF:
            families.update(family(text(key)) for key in ours)
        found, looked_at = found + len(ours), looked_at + count
        sample += ours[: _SAMPLE - len(sample)]
        if time.monotonic() > ends:
            complete = False
            break
    return Tally(found, spared, min(looked_at, total), total, complete, sample, families)


def count(target: Target, seconds: float = 1.0) -> int:
    """Return how many keys the cache holds, by a scan of so many seconds.

    Those that match its patterns where `opsnb.toml` sets them, else all keys of no queue.
    """
    patterns = [pattern.encode() for pattern in chosen_patterns(target)]
    queues = FoundQueues(names=frozenset({queue_prefix(target).encode()}))
    with connection(target) as client:
        return tally(client.raw(), patterns or None, queues, time.monotonic() + seconds).estimate
