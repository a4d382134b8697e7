"""What is left after a clear."""

from __future__ import annotations

import time
from dataclasses import dataclass

import redis

from opsnb.model import ActionRecord, Finding, Status, now
from opsnb.systems.cache.connecting import Connection
from opsnb.systems.cache.selection import Selection
from opsnb.systems.cache.tallies import scan_all
from opsnb.view.formats import counted

COUNTING_S = 15.0  # a count that takes longer is given as an estimate
_CLOCK_TICK_S = 1.5  # the server counts idle time in whole seconds, of a clock that ticks slowly


@dataclass
class ClearProgress:
    """When the work began, on the monotonic clock, and whether it ended."""

    began: float = 0.0
    ended: bool = False


def progress_of(former: ActionRecord | None) -> ClearProgress:
    """Return the progress of a clear that an interrupted run began, which is complete by now."""
    if not (former and former.started):
        return ClearProgress()
    return ClearProgress(time.monotonic() - (now() - former.started).total_seconds(), ended=True)


def effect(client: Connection, selection: Selection, progress: ClearProgress) -> Finding:
    """Count the keys that match now: those that were left, and those that came back."""
    left = old = 0
    since_s = time.monotonic() - progress.began
    ends = time.monotonic() + COUNTING_S
    is_conclusive = complete = True
    for number in selection.databases:
        database = client.raw(number)
        queues = selection.queues(database)
        for keys, _ in scan_all(database, selection.patterns):
            ours = [key for key in keys if queues.owner(key) is None]
            idle = _idle_s(database, ours)
            left += len(ours)
            old += sum(seconds > since_s + _CLOCK_TICK_S for seconds in idle or ())
            is_conclusive = is_conclusive and idle is not None
            if time.monotonic() > ends:
                complete = False
                break
    if not progress.ended:
        old = left  # the work did not reach the end, so no key can have come back
    return _judge(left, old, is_conclusive, complete)


def _judge(left: int, old: int, is_conclusive: bool, complete: bool) -> Finding:
    """Return what the keys that match now say about the clear."""
    if not complete:
        status = Status.CRIT if old else Status.UNKNOWN
        message = (
            f"At least {left:,} keys match now, {old:,} of them older than the clear; the count "
            f"stopped after {COUNTING_S:g} s."
        )
    elif old:
        status = Status.CRIT
        is_ = "is" if old == 1 else "are"
        message = f"{counted(old, 'key')} that should be gone {is_} still there."
    elif not left:
        status, message = Status.OK, "No key that matches is left."
    elif is_conclusive:
        status = Status.OK
        matches = "matches" if left == 1 else "match"
        message = f"{counted(left, 'key')} {matches} again: the service has cached since the clear."
    else:
        status = Status.UNKNOWN
        message = (
            f"{counted(left, 'key')} still there or back: the server does not show which (OBJECT "
            "IDLETIME is not permitted, or the eviction policy is LFU)."
        )
    return Finding(status=status, message=message, value=left, unit="keys")


def _idle_s(client: redis.Redis, keys: list[bytes]) -> list[int] | None:
    """Return how long each of `keys` has been idle; None where the server does not show it."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.object("IDLETIME", key)
    replies = pipeline.execute(raise_on_error=False) if keys else []
    if any(isinstance(reply, redis.ResponseError) for reply in replies):
        return None
    return [int(reply or 0) for reply in replies]
