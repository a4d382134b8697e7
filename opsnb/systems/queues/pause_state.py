"""Whether a queue is paused, since when and by whom."""

from __future__ import annotations

from opsnb.model import Row
from opsnb.systems.queues.connection import Queue
from opsnb.systems.queues.events import last_event_ms
from opsnb.view.formats import utc

MARK = "opsnb:paused"
"""The field of a queue's `meta` in which opsnb notes who paused it, and when."""


_EVENTS = 1000  # of the newest, searched for the last pause


_TOLERANCE_MS = 2000  # between BullMQ's event of a pause and our note of it


async def pause_of(queue: Queue) -> Row:
    """Return whether `queue` is paused, and since when and by whom where that is known."""
    paused, mark = await queue.client.hmget(queue["meta"], ["paused", MARK])
    row: Row = {"queue": queue.name, "paused": paused is not None, "since": None, "by": None}
    if paused is None:
        return row
    last_ms = await last_event_ms(queue, "paused", _EVENTS)
    since_ms, _, by = (mark or "").partition(" ")
    if since_ms.isdigit() and (last_ms is None or last_ms <= int(since_ms) + _TOLERANCE_MS):
        return {**row, "since": utc(int(since_ms) / 1000), "by": by}
    # Something else paused it since; the note is about an earlier pause.
    return {**row, "since": utc(last_ms / 1000) if last_ms else None, "by": "someone without opsnb"}


def paused_words(row: Row) -> str:
    """Return `paused since 2026-01-01 10:00 UTC by anna`, as far as known."""
    return f"paused{since_words(row)}"


def since_words(row: Row) -> str:
    """Return ` since 2026-01-01 10:00 UTC by anna` of a pause, as far as known."""
    since = f" since {row['since']}" if row["since"] else ""
    by = f" by {row['by']}" if row["by"] else ""
    return f"{since}{by}"
