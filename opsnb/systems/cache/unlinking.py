"""Unlinking keys in batches that leave room for other clients."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import redis

from opsnb.systems.cache.connecting import Connection
from opsnb.systems.cache.keyspace import SCAN_COUNT
from opsnb.systems.cache.queue_keys import FoundQueues
from opsnb.systems.cache.selection import Selection


class PingPace:
    """How many keys to take at once, so that other clients do not wait.

    It sends PING on a connection of its own, as another client would. The median of the last three
    counts: this machine may delay one answer itself.
    """

    _EVERY_S = 0.05
    _SLACK_S = 0.006
    _LONGEST_REST_S = 0.5
    _LEAST, _MOST = 200, SCAN_COUNT

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._idle_s = median(self._ping_s() for _ in range(15))
        self._waits_s = deque([self._idle_s] * 3, maxlen=3)
        self._due = time.monotonic() + self._EVERY_S
        self.batch = self._MOST

    def adapt(self) -> None:
        """Take fewer keys and rest when the server answers late, else take more."""
        if time.monotonic() < self._due:
            return
        self._waits_s.append(self._ping_s())
        late_s = median(self._waits_s) - self._idle_s
        if late_s > self._SLACK_S:
            self.batch = max(self._LEAST, self.batch // 2)
            time.sleep(min(late_s, self._LONGEST_REST_S))
        else:
            self.batch = min(self._MOST, self.batch * 3 // 2)
        self._due = time.monotonic() + self._EVERY_S

    def _ping_s(self) -> float:
        clock = time.perf_counter()
        with suppress(redis.exceptions.NoPermissionError):  # a refusal takes as long
            self._client.ping()
        return time.perf_counter() - clock


def unlink(client: Connection, selection: Selection) -> Iterator[int]:
    """Unlink the keys in batches; yield how many are gone so far."""
    chosen = {number: client.raw(number) for number in selection.databases}
    # All databases first: the search for a queue that is new since the plan may refuse.
    queues = {number: selection.queues(database) for number, database in chosen.items()}
    pace, done = PingPace(client.raw()), 0
    for number, database in chosen.items():
        for pattern in selection.patterns or (None,):
            for removed in _unlink_all(database, pattern, queues[number], pace):
                done += removed
                yield done


_UNLINK = Path(__file__).with_name("unlink.lua").read_text("utf-8")


def _unlink_all(
    client: redis.Redis, pattern: bytes | None, queues: FoundQueues, pace: PingPace
) -> Iterator[int]:
    """Yield how many keys each batch unlinked.

    A SCAN returns every key that exists from its start to its end, whatever else is removed.
    """
    words: Any = [*queues.arguments(), *([] if pattern is None else [pattern])]
    cursor = b"0"
    while True:
        answer: Any = client.eval(_UNLINK, 0, cursor, pace.batch, *words)
        cursor, removed = answer
        yield removed
        if cursor == b"0":
            return
        pace.adapt()
