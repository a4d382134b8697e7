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

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.systems.cache.connecting import (
    connection,
    writing,
)
from opsnb.systems.cache.keyspace import SCAN_COUNT
from opsnb.systems.cache.queue_keys import FoundQueues
from opsnb.systems.cache.selection import Selection


class Pace:
    """How many keys to take at once, so that others wait no longer than the server lets them.

    It asks for PONG on a connection of its own, as any other client does. The median of the last
    three counts: one late answer may be this machine's own.
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
        """Take less and rest when the server answers late, more when it does not."""
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


def unlink(target: Target, permit: Permit, selection: Selection) -> Iterator[int]:
    """Unlink the keys in batches; yield how many are gone so far."""
    # All databases before any: a queue that has come since the plan must stop the whole.
    queues = {}
    for number in selection.databases:
        with connection(target, db=number, decode=False) as client:
            queues[number] = selection.queues(client)
    done = 0
    for number in selection.databases:
        with (
            connection(target) as watch,
            writing(target, permit, db=number) as client,
        ):
            pace = Pace(watch)
            for pattern in selection.patterns or (None,):
                for removed in _unlink_all(client, pattern, queues[number], pace):
                    done += removed
                    yield done


_UNLINK = Path(__file__).with_name("unlink.lua").read_text("utf-8")


def _unlink_all(
    client: redis.Redis, pattern: bytes | None, queues: FoundQueues, pace: Pace
) -> Iterator[int]:
    """Yield how many keys went with each batch.

    A SCAN returns every key that was there all the time, whatever is removed meanwhile.
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
