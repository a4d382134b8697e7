"""What a channel knows about one finding, and when a change of it is news."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, Field

from opsnb.config.unattended import Notify
from opsnb.model import Status
from opsnb.notify.observations import Observation

CHANGES, WINDOW = 4, timedelta(hours=6)
"""This many changes within this time are flapping."""
STEADY_RUNS, STEADY_FOR = 3, timedelta(minutes=30)
"""Flapping ends when nothing has changed for this many runs and this long."""
_PUNCTUAL = 0.95


class Kind(StrEnum):
    """Why a channel is notified."""

    PROBLEM = "problem"
    """It was ok before, or had another bad status."""
    REMINDER = "reminder"
    FLAPPING = "flapping"
    """It keeps changing; this is the last message until it is steady."""
    STEADY = "steady"
    """It has stopped changing."""
    RECOVERY = "recovery"
    CLOSED = "closed"
    """Nothing checks it any more; whether it is ok is unknown."""


@dataclass(frozen=True)
class Event:
    """Something that is news to a channel."""

    kind: Kind
    observation: Observation
    was: Status
    """The status that the channel was sent last."""
    since: datetime
    """When that status began."""


class Known(BaseModel):
    """What a channel knows about one finding."""

    title: str = ""
    runbook: str = ""
    """The runbook that found it; empty in a memory of older versions."""
    told: Status = Status.OK
    """The status that it was sent last."""
    current: Status = Status.OK
    """The last observed status."""
    since: AwareDatetime
    """When that began."""
    runs: int = 0
    """The number of runs with that status."""
    changes: list[AwareDatetime] = Field(default_factory=list)
    sent: AwareDatetime | None = None
    flapping: bool = False
    worst: Status = Status.OK
    """The worst status sent while flapping."""


def recent(each: Known, at: datetime) -> list[datetime]:
    """Return the changes that count for flapping."""
    return [change for change in each.changes if at - change < WINDOW]


def advance(
    each: Known, status: Status, observation: Observation, channel: Notify, at: datetime
) -> Event | None:
    """Note the `status` of this run; return the event when it is news to `channel`."""
    was, since = each.told, each.since
    changed = status is not each.current
    if changed:
        each.current, each.since, each.runs = status, at, 1
        each.changes = [*recent(each, at), at]
    else:
        each.runs += 1
    kind = _kind(each, changed, channel, at)
    if kind is None:
        return None
    each.told = status
    if kind is Kind.RECOVERY and not channel.recovery:
        return None
    each.sent = at
    return Event(kind, observation, was, since)


def _kind(each: Known, changed: bool, channel: Notify, at: datetime) -> Kind | None:
    if each.flapping:
        return _while_flapping(each, at)
    if changed and len(each.changes) >= CHANGES:
        each.flapping, each.worst = True, max(each.told, each.current, key=_severity)
        return Kind.FLAPPING
    if each.current is not each.told:
        return Kind.RECOVERY if each.current is Status.OK else Kind.PROBLEM
    return Kind.REMINDER if each.current is not Status.OK and _is_due(each, channel, at) else None


def _is_due(each: Known, channel: Notify, at: datetime) -> bool:
    """Return whether a reminder is due, with some tolerance for early runs."""
    if not (channel.reminder and each.sent):
        return False
    return (at - each.sent).total_seconds() >= channel.reminder * _PUNCTUAL


def _while_flapping(each: Known, at: datetime) -> Kind | None:
    if each.runs >= STEADY_RUNS and at - each.since >= STEADY_FOR:
        each.flapping, each.changes = False, []
        return Kind.STEADY
    if _severity(each.current) > _severity(each.worst):
        each.worst = each.current
        return Kind.PROBLEM  # worse than anything that was sent
    return None


def _severity(status: Status) -> int:
    return status.severity
