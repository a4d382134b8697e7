"""Which version of BullMQ keeps a queue, and steps that act in that version's layout.

Versions differ in where the waiting jobs of a paused queue are. A step in the wrong layout loses
jobs: the service's next pause or resume renames one list over the other. Each queue's `meta` says
which version keeps it; the scripts read it in the same step as they act.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

import redis.exceptions

from opsnb.errors import BadAnswer
from opsnb.systems.queues import scripts
from opsnb.systems.queues.connection import SYSTEM, Session

_KNOWN = (4, 5, 6)
_FIRST_WITH_LIMIT = (5, 9)
_MOST_MOVED = 5000  # entries of a list by one call: about a millisecond
_MOST_CALLS = 10_000


@dataclass(frozen=True)
class Layout:
    """Where the waiting jobs of a queue are."""

    version: str
    """As its `meta` has it, like `bullmq:5.81.5`; empty where it has none."""
    paused: bool
    in_wait: int
    """Jobs in the list that workers take from."""
    in_paused: int
    """Jobs in the list that BullMQ 4 and 5 keep while the queue is paused."""

    @property
    def major(self) -> int | None:
        """The major version, when it is one whose layout is known."""
        match = re.match(r"bullmq:(\d+)\.", self.version)
        return int(match[1]) if match and int(match[1]) in _KNOWN else None

    @property
    def has_limit(self) -> bool:
        """Whether it knows a limit for a whole queue, which came with BullMQ 5.9."""
        match = re.match(r"bullmq:(\d+)\.(\d+)", self.version)
        return match is not None and (int(match[1]), int(match[2])) >= _FIRST_WITH_LIMIT

    @property
    def stranded(self) -> int:
        """How many jobs no worker takes, though the queue is not paused."""
        return 0 if self.paused else self.in_paused

    @property
    def is_mixed(self) -> bool:
        """Whether both lists have jobs: to rename one over the other, as BullMQ 4 and 5 do, loses.

        That comes of services with different versions, and of a resume that was interrupted.
        """
        return bool(self.in_wait and self.in_paused)

    @property
    def loses_by_service(self) -> str:
        """What the API, which leaves it to the service's own BullMQ, would do to it, or nothing."""
        if not self.is_mixed or self.major == max(_KNOWN):
            return ""
        lost = min(self.in_wait, self.in_paused)
        return f"might lose {lost} jobs: waiting jobs are in both lists, `wait` and `paused`"


async def read(session: Session, queue: Any) -> Layout:
    """Return where the waiting jobs of `queue` are."""
    try:
        (version, paused), *lists = await _parts(session, queue, at_once=True)
    except redis.exceptions.OutOfMemoryError:
        # A full server refuses every transaction, those that only read too.
        (version, paused), *lists = await _parts(session, queue, at_once=False)
    in_wait, in_paused = (
        # BullMQ 4 marks there that there are delayed or prioritized jobs.
        length - ((last or "").startswith("0:"))
        for length, last in zip(lists[::2], lists[1::2], strict=True)
    )
    return Layout(version or "", paused is not None, in_wait, in_paused)


async def _parts(session: Session, queue: Any, *, at_once: bool) -> list[Any]:
    keys = queue.keys
    async with session.client.pipeline(transaction=at_once) as pipe:
        pipe.hmget(keys["meta"], ["version", "paused"])
        for name in ("wait", "paused"):
            pipe.llen(keys[name])
            pipe.lindex(keys[name], -1)
        return list(await pipe.execute())


async def refusal(session: Session, queue: Any) -> str:
    """Return why nothing may be changed in `queue`, and the fix; empty for a known version."""
    found = await read(session, queue)
    if found.major:
        return ""
    meta = queue.keys["meta"]
    if found.version:
        return (
            f"{queue.name} is kept by '{found.version}', and opsnb knows the layouts of BullMQ 4, "
            "5 and 6. Let its service do this."
        )
    unknown = f"{meta} does not say which version of BullMQ keeps {queue.name}"
    if not await session.client.hexists(meta, "opts.maxLenEvents"):
        return (
            f"{unknown}, and has no opts.maxLenEvents, which BullMQ writes: it may be a queue of "
            "Bull, whose layout is another one. Let its service do this."
        )
    return (
        f"{unknown}, and in the wrong layout jobs get lost. Let its service do this, or say which "
        "version all its services run (4 to 6; not for an older one), 5 for example: "
        f"redis-cli HSET {shlex.quote(meta)} version bullmq:5.0.0"
    )


async def run(session: Session, script: str, keys: list[str], arguments: list[Any]) -> Any:
    """Return what `script` answers. Raises BadAnswer when the version is not known any more."""
    try:
        return await scripts.call(session.client, script, keys, arguments)
    except redis.exceptions.ResponseError as error:
        if str(error).startswith("LAYOUT"):
            raise BadAnswer(
                SYSTEM, f"{keys[0]} no longer says which version of BullMQ keeps the queue."
            ) from error
        raise


async def pause(session: Session, queue: Any, field: str, note: str) -> bool:
    """Pause `queue`, with `note` in that field of its `meta`; return False if it was paused."""
    keys = [queue.keys[name] for name in ("meta", "wait", "paused", "marker", "events")]
    return await _until_done(session, scripts.PAUSE, keys, [_MOST_MOVED, field, note]) == 0


async def resume(session: Session, queue: Any, field: str) -> None:
    """Resume `queue`, and take the note from that field of its `meta`."""
    names = ("meta", "wait", "paused", "marker", "events", "prioritized", "delayed")
    keys = [queue.keys[name] for name in names]
    await _until_done(session, scripts.RESUME, keys, [_MOST_MOVED, field])


async def _until_done(session: Session, script: str, keys: list[str], arguments: list[Any]) -> int:
    """Call `script` until it has nothing left to move; return its last answer, 0 or less."""
    for _ in range(_MOST_CALLS):
        left = int(await run(session, script, keys, arguments))
        if left <= 0:
            return left
    raise BadAnswer(
        SYSTEM, f"Jobs are added to the queue faster than they can be moved; {left} left."
    )
