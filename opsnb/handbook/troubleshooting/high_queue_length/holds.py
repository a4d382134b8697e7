"""Causes of a long queue: it is paused, or a limit is reached."""

from __future__ import annotations

from opsnb.checks import evidence
from opsnb.checks.causes import likely, ruled_out
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.handbook.troubleshooting.high_queue_length.durations import short
from opsnb.model import Finding, Remedy, Status
from opsnb.systems import queues
from opsnb.systems.queues import Brakes
from opsnb.systems.queues.pause_state import since_words
from opsnb.view.formats import counted, span

RECORDED_AS = "backlog"
_RUNBOOK = "troubleshooting/high_queue_length"
_SYSTEMS = (queues.SYSTEM,)


@check(needs=_SYSTEMS, is_cause=True)
def paused(target: Target, queue: str) -> Finding:
    """Queue paused"""
    row, pause = queues.state_of(target, queue, with_workers=False)
    if not pause["paused"]:
        return ruled_out(f"Queue {queue} is not paused.")
    return likely(
        f"Queue {queue} is paused{since_words(pause)}; {counted(row['waiting'], 'job')} waiting.",
        1.0,
        Remedy.of("queues/resume", apply=True, queue=queue),
        status=Status.CRIT if row["waiting"] else Status.WARN,
    )


@check(needs=_SYSTEMS, is_cause=True, treated_by="the limit is an option of the workers")
def held_back(target: Target, queue: str) -> Finding:
    """Concurrency or rate limit reached"""
    limits = queues.brakes(target, queue)
    row = queues.counts_of(target, queue, with_workers=False)
    words = []
    if limits.concurrency is not None:
        words.append(f"at most {limits.concurrency} jobs may be active at once")
    if limits.rate:
        words.append(f"at most {limits.rate[0]} jobs in {span(limits.rate[1] / 1000)} may begin")
    if limits.limited_ms:
        words.append(f"no job may begin for another {span(limits.limited_ms / 1000)}")
    if limits.window:
        began, left_ms = limits.window
        words.append(
            f"{began} jobs began in a rate limit's span that ends in {short(left_ms / 1000)}"
        )
        if row["waiting"] and row["active"]:
            evidence.partial(
                "whether that rate limit is reached: its maximum is an option of the workers"
            )
    if not words:
        return ruled_out(f"Queue {queue} has no limit.")
    full, limited = _limits_reached(limits, row["active"])
    binds = bool(row["waiting"]) and (full or limited)
    may_bind = bool(row["waiting"]) and limits.window is not None
    state = f"and {row['waiting']} jobs wait" if binds or may_bind else "which is not reached now"
    return Finding(
        status=Status.WARN if binds else Status.OK,
        message=f"In {queue} {', '.join(words)}, {state}.",
        share=0.9,
        remedies=[Remedy.of(_RUNBOOK, "removes the limit", queue=queue, limit="none")]
        if binds and full
        else [],
    )


def _limits_reached(limits: Brakes, active: int) -> tuple[bool, bool]:
    """Return whether the greatest concurrency is reached, and whether a rate limit is."""
    full = limits.concurrency is not None and active >= limits.concurrency
    return full, bool(limits.limited_ms) or (limits.window is not None and not active)


def is_held_back(target: Target, queue: str, active: int) -> bool:
    """Whether a limit stops the workers of `queue` from taking a job beside the `active` ones."""
    return any(_limits_reached(queues.brakes(target, queue), active))
