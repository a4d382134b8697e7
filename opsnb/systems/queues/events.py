"""What BullMQ's events say: how the latest jobs ended, and when the queue was last paused."""

from __future__ import annotations

from typing import Any

import redis.exceptions

from opsnb.systems.queues.connection import Queue
from opsnb.systems.queues.scripts import lua
from opsnb.systems.queues.values import NoScripts, script

_EVENTS = lua("events")
_MOST_EVENT_BYTES = 16 * 1024 * 1024


async def last_event_ms(queue: Queue, kind: str, newest: int) -> int | None:
    """Return when the newest event of this kind came, in ms, if it is among the `newest` events."""
    try:
        _, _, _, found = await _read(queue, newest, kind)
    except NoScripts:
        return None
    return int(found.partition("-")[0]) if found else None


async def ended_by_events(queue: Queue, newest: int) -> tuple[int, int] | None:
    """Return how many jobs completed and failed by the newest events; None where there are none."""
    try:
        completed, failed, seen, _ = await _read(queue, newest, "")
    except redis.exceptions.ResponseError:
        return None
    return (int(completed), int(failed)) if seen else None


async def _read(queue: Queue, newest: int, kind: str) -> Any:
    arguments = (newest, _MOST_EVENT_BYTES, kind)
    return await script(queue.session, _EVENTS, [queue["events"]], *arguments)
