"""Which version of BullMQ keeps a queue, and how to act in that version's layout.

Versions differ in where they keep the waiting jobs of a paused queue. To act in the wrong layout
loses jobs: the service's next pause or resume renames one list over the other. Each queue's `meta`
names its version; the scripts read it in the same step in which they act.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.exceptions

from opsnb.errors import BadAnswer
from opsnb.systems.queues import scripts
from opsnb.systems.queues.connection import SYSTEM, Queue

_KNOWN = (4, 5, 6)
_FIRST_WITH_LIMIT = (5, 9)
_MOST_MOVED = 5000  # entries of a list in one call: about a millisecond
_MOST_CALLS = 10_000


@dataclass(frozen=True)
class Layout:
    """Where the waiting jobs of a queue are."""

    version: str
    """From its `meta`, such as `bullmq:5.81.5`; empty where it has none."""
    paused: bool
    in_wait: int
    """Jobs in the list that workers take from."""
    in_paused: int
    """Jobs in the list that BullMQ 4 and 5 keep while the queue is paused."""

    @property
    def major(self) -> int | None:
        """The major version, if its layout is known."""
        match = re.match(r"bullmq:(\d+)\.", self.version)
        return int(match[1]) if match and int(match[1]) in _KNOWN else None

    @property
    def has_limit(self) -> bool:
        """Whether it can limit a whole queue, as BullMQ 5.9 and later can."""
        match = re.match(r"bullmq:(\d+)\.(\d+)", self.version)
        return match is not None and (int(match[1]), int(match[2])) >= _FIRST_WITH_LIMIT

    @property
    def stranded(self) -> int:
        """How many jobs no worker takes although the queue is not paused."""
        return 0 if self.paused else self.in_paused

    @property
    def is_mixed(self) -> bool:
        """Whether both lists have jobs. BullMQ 4 and 5 rename one over the other and lose jobs.

        Services with different versions cause it, and interrupted resumes.
        """
        return bool(self.in_wait and self.in_paused)

    @property
    def loses_by_service(self) -> str:
        """What the API would break, since it uses the service's own BullMQ; empty for nothing."""
        if not self.is_mixed or self.major == max(_KNOWN):
            return ""
        lost = min(self.in_wait, self.in_paused)
        return f"might lose {lost} jobs: waiting jobs are in both lists, `wait` and `paused`"


async def read(queue: Queue) -> Layout:
    """Return where the waiting jobs of `queue` are."""
    try:
        (version, paused), *lists = await _parts(queue, at_once=True)
    except redis.exceptions.OutOfMemoryError:
        # A full server refuses every transaction, even one that only reads.
        (version, paused), *lists = await _parts(queue, at_once=False)
    in_wait, in_paused = (
        # BullMQ 4 puts a marker there when there are delayed or prioritized jobs.
        length - ((last or "").startswith("0:"))
        for length, last in zip(lists[::2], lists[1::2], strict=True)
    )
    return Layout(version or "", paused is not None, in_wait, in_paused)


async def _parts(queue: Queue, *, at_once: bool) -> list[Any]:
    async with queue.client.pipeline(transaction=at_once) as pipe:
        pipe.hmget(queue["meta"], ["version", "paused"])
        for name in ("wait", "paused"):
            pipe.llen(queue[name])
            pipe.lindex(queue[name], -1)
        return list(await pipe.execute())


async def refusal(queue: Queue) -> str:
    """Return why opsnb must not change `queue`, and the fix; empty for a known version."""
    found = await read(queue)
    if found.major:
        return ""
    meta = queue["meta"]
    if found.version:
        return (
            f"'{found.version}' keeps {queue.name}, and opsnb knows the layouts of BullMQ 4, 5 and "
            "6. Let its service do this."
        )
    unknown = f"{meta} does not say which version of BullMQ keeps {queue.name}"
    if not await queue.client.hexists(meta, "opts.maxLenEvents"):
        return (
            f"{unknown}, and has no opts.maxLenEvents, which BullMQ writes: it may be a queue of "
            "Bull, which has another layout. Let its service do this."
        )
    return (
        f"{unknown}, and in the wrong layout jobs get lost. Let its service do this, or say which "
        "version all its services run (4 to 6; not for an older one), 5 for example: "
        f"redis-cli HSET {shlex.quote(meta)} version bullmq:5.0.0"
    )


async def run(queue: Queue, script: str, keys: Sequence[str], arguments: list[Any]) -> Any:
    """Return the answer of `script`, of which `keys` names the keys, from `meta` on.

    A name is a part of the queue, such as `wait`. Raises BadAnswer if `meta` lost its version.
    """
    try:
        return await scripts.call(queue.client, script, [queue[part] for part in keys], arguments)
    except redis.exceptions.ResponseError as error:
        if str(error).startswith("LAYOUT"):
            raise BadAnswer(
                SYSTEM, f"{queue['meta']} no longer says which version of BullMQ keeps the queue."
            ) from error
        raise


async def pause(queue: Queue, field: str, note: str) -> bool:
    """Pause `queue`, with `note` in that field of its `meta`; return False if it was paused."""
    keys = ("meta", "wait", "paused", "marker", "events")
    return await _until_done(queue, scripts.PAUSE, keys, [_MOST_MOVED, field, note]) == 0


async def resume(queue: Queue, field: str) -> None:
    """Resume `queue`, and remove the note in that field of its `meta`."""
    keys = ("meta", "wait", "paused", "marker", "events", "prioritized", "delayed")
    await _until_done(queue, scripts.RESUME, keys, [_MOST_MOVED, field])


async def _until_done(queue: Queue, script: str, keys: Sequence[str], arguments: list[Any]) -> int:
    """Call `script` until it has nothing left to move; return its last answer, 0 or less."""
    for _ in range(_MOST_CALLS):
        left = int(await run(queue, script, keys, arguments))
        if left <= 0:
            return left
    raise BadAnswer(
        SYSTEM, f"Jobs arrive in the queue faster than opsnb can move them; {left} left."
    )
