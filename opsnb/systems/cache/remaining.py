"""What is left after a clear."""

from __future__ import annotations

import time
from dataclasses import dataclass

import redis

from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Status, now
from opsnb.systems.cache.connecting import (
    connection,
)
from opsnb.systems.cache.selection import Selection
from opsnb.systems.cache.tallies import scan_all

COUNTING_S = 15.0  # a count that takes longer is given as an estimate


_CLOCK_TICK_S = 1.5  # the server counts idle time in whole seconds, of a clock that ticks slowly


@dataclass
class Course:
    """When the work began, on the monotonic clock, and whether it came to its end."""

    began: float = 0.0
    ended: bool = False


def course_of(former: ActionRecord | None) -> Course:
    """Return that of a clear which a continued run had begun, and left nothing to be done of."""
    if not (former and former.started):
        return Course()
    return Course(time.monotonic() - (now() - former.started).total_seconds(), ended=True)


def effect(target: Target, selection: Selection, course: Course) -> Finding:
    """Count what is there now, and tell keys that were left from those that came back."""
    left = old = 0
    since_s = time.monotonic() - course.began
    ends = time.monotonic() + COUNTING_S
    telling = complete = True
    for number in selection.databases:
        with connection(target, db=number, decode=False) as client:
            queues = selection.queues(client)
            for keys, _ in scan_all(client, selection.patterns):
                ours = [key for key in keys if queues.owner(key) is None]
                idle = _idle_s(client, ours)
                left += len(ours)
                old += sum(seconds > since_s + _CLOCK_TICK_S for seconds in idle or ())
                telling = telling and idle is not None
                if time.monotonic() > ends:
                    complete = False
                    break
    if not course.ended:
        old = left  # nothing has been looked for to its end, so nothing can have come back
    return _judge(left, old, telling, complete)


def _judge(left: int, old: int, telling: bool, complete: bool) -> Finding:
    """Return what the keys that match now say of the effect."""
    if not complete:
        status = Status.CRIT if old else Status.UNKNOWN
        message = (
            f"At least {left:,} keys match now, {old:,} of them older than the clear; the count "
            f"ended after {COUNTING_S:g} s."
        )
    elif old:
        status, message = Status.CRIT, f"Still there, though to be cleared: {old:,} keys."
    elif not left:
        status, message = Status.OK, "No such key is left."
    elif telling:
        status = Status.OK
        message = f"Keys of that kind: {left:,}, all used since, as the service caches anew."
    else:
        status = Status.UNKNOWN
        message = (
            f"Keys of that kind: {left:,}; the server does not tell whether they were left or came "
            "back (OBJECT IDLETIME is not permitted, or the policy is an LFU one)."
        )
    return Finding(status=status, message=message, value=left, unit="keys")


def _idle_s(client: redis.Redis, keys: list[bytes]) -> list[int] | None:
    """Return for how long each of `keys` has not been used; None where the server does not tell."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.object("IDLETIME", key)
    replies = pipeline.execute(raise_on_error=False) if keys else []
    if any(isinstance(reply, redis.ResponseError) for reply in replies):
        return None
    return [int(reply or 0) for reply in replies]
