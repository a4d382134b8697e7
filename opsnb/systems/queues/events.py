"""What BullMQ's events say: how the latest jobs ended, and when the queue was last paused."""

from __future__ import annotations

import redis.exceptions

from opsnb.systems.queues.connection import Session
from opsnb.systems.queues.scripts import lua
from opsnb.systems.queues.values import NoScripts, script

_EVENTS = lua("events")
_MOST_EVENT_BYTES = 16 * 1024 * 1024


async def last_event_ms(session: Session, events: str, kind: str, newest: int) -> int | None:
    """Return when BullMQ last told of an event of this kind, in ms, as far back as is looked."""
    try:
        _, _, _, found = await script(session, _EVENTS, [events], newest, _MOST_EVENT_BYTES, kind)
    except NoScripts:
        return None
    return int(found.partition("-")[0]) if found else None


async def ended_by_events(session: Session, events: str, newest: int) -> tuple[int, int] | None:
    """Return how many jobs completed and failed by the newest events; None where there are none."""
    try:
        completed, failed, seen, _ = await script(
            session, _EVENTS, [events], newest, _MOST_EVENT_BYTES, ""
        )
    except redis.exceptions.ResponseError:
        return None
    return (int(completed), int(failed)) if seen else None
