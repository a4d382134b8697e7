"""The errors of one window of time, read once: grouped, dated, and the cause that each points to.

Errors are grouped by what they say, without numbers and ids. A group that has ended needs no cause.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from opsnb.checks import evidence
from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.errors import ServiceError
from opsnb.handbook.deployment.releases import Change, changes_after
from opsnb.handbook.error_causes import LOST, Cause, Places, cause_of
from opsnb.model import Status
from opsnb.redaction import outside
from opsnb.redaction.outside import pattern
from opsnb.systems import host, logs, processes
from opsnb.systems.logs.entries import ErrorEntry
from opsnb.view.formats import utc

_PAUSE_S = 300.0  # errors after a pause this long count as new ones
_QUIET_S = 30.0  # errors that came without a pause have ended after this long without one
_QUIET_GAPS = 3.0  # others after this many times the longest pause between them
_COME_AGAIN = 2  # after so many long pauses, another one does not mean that they have ended
_LEAST_S = 1.0  # read at least this much after an action
_QUOTE_LENGTH = 120
# Numbers that show the cause of an error: ports, addresses, HTTP's statuses, Prisma's codes.
_TELLING = re.compile(r":\d{2,5}\b|\d+(?:\.\d+){3}|(?<!\d)[1-5]\d\d(?!\d)|\bP\d{4}\b")

PRECEDES_S = 120.0
"""An event at most this long before the errors may have caused them."""
CAUSE_OF: dict[str, Cause] = {"redis": "redis", "postgres": "database"}
"""The cause that an error about a system points to."""
OWN_CAUSES: tuple[Cause, ...] = ("code", "worker", "child")
"""The causes that lie in the service itself."""

Errors = list[tuple[str, ErrorEntry]]
"""Errors, each with its log."""


@dataclass(frozen=True)
class Group:
    """Errors that say the same, or the rest, of which each message is rare."""

    errors: Errors
    """Each with its log, the oldest first; at least one."""
    begun: float
    """When the ongoing ones, or those that ended last, began."""
    ended: float | None
    """When they ended; None while they continue."""

    @property
    def sample(self) -> str:
        """What the newest of them says."""
        return outside.head(self.errors[-1][1].message, _QUOTE_LENGTH).rstrip(".")


@dataclass(frozen=True)
class Seen:
    """What the logs and the process manager report of one window of time."""

    window: logs.Window
    groups: list[Group]
    """The errors that need a cause, those that say the same together, the largest first."""
    lost: dict[str, list[tuple[float, str]]]
    """When log lines reported Redis or PostgreSQL as lost, and the lines."""
    started: dict[str, float]
    """When each process was started, where its manager says so."""
    deployed: list[Change]
    """The recorded deployments, the oldest first."""
    places: Places
    """Where the target's own Redis and database are."""
    hours: float
    """How far back was read: after an action only to it."""
    _causes: dict[tuple[str, ...], Cause] = field(default_factory=dict, compare=False)

    @property
    def count(self) -> int:
        """The number of errors."""
        return len(self.window.errors)

    @property
    def ongoing(self) -> list[Group]:
        """Those of `groups` that have not ended."""
        return [group for group in self.groups if group.ended is None]

    @property
    def current(self) -> Errors:
        """The ongoing errors, which need a cause."""
        return errors_of(self.ongoing)

    @property
    def ended(self) -> float | None:
        """When the last of them ended; None while some continue, or without errors."""
        if self.ongoing:
            return None
        return max((group.ended for group in self.groups if group.ended is not None), default=None)

    def needs_no_cause(self, target: Target) -> str:
        """Return why nothing has to be explained; empty when many errors continue."""
        if target.threshold("log_errors").judge(self.count) is Status.OK:
            return f"Log errors: {self.count}, below the limit."
        return "" if self.ended is None else f"The errors ended at {utc(self.ended)}."

    def about(self, *causes: Cause) -> Errors:
        """Return the ongoing errors that point to one of `causes`."""
        return [error for error in self.current if self.cause(error[1]) in causes]

    def cause(self, entry: ErrorEntry) -> Cause:
        """Return the cause that an error points to; equal errors are judged once."""
        key = pattern(entry.message), *_TELLING.findall(entry.message, 0, 300)
        if key not in self._causes:
            text = f"{entry.message}\n{entry.stack}" if entry.stack else entry.message
            self._causes[key] = cause_of(text, entry.stack, self.places)
        return self._causes[key]

    def subject(self, groups: Sequence[Group]) -> str:
        """Return the subject of a sentence about `groups`, which says which errors they are."""
        count = len(errors_of(groups))
        if count == self.count:
            return "The errors"
        return f'{count} of {self.count} errors, most of all "{groups[0].sample}",'

    def counted(self, errors: Errors) -> str:
        """Return how many of the ongoing errors are `errors`, in words."""
        total = len(self.current)
        return f"{len(errors)} of {total} {'ongoing ' * (total < self.count)}errors"


class Window(Reading[Seen]):
    """The last `hours` of a target, read once for all checks that are given it."""

    def __init__(self, hours: float) -> None:
        super().__init__(lambda target: _read(target, _since_change(hours)), hours=hours)
        self.hours = hours


def _since_change(hours: float) -> float:
    """Return the hours to read: after an action no more than have passed since."""
    changed = evidence.last_change()
    return hours if changed is None else min(hours, max(_LEAST_S, time.time() - changed) / 3600)


def _read(target: Target, hours: float) -> Seen:
    window, places = logs.read(target, hours, LOST), Places.of(target)
    lost: dict[str, list[tuple[float, str]]] = {
        name: sorted(
            (at, line)
            for at, line in window.marked
            if cause_of(line, places=places) == CAUSE_OF[name]
        )
        for name in CAUSE_OF
    }
    return Seen(
        window,
        _groups(target, window.errors, window.since + hours * 3600),
        lost,
        _started(target),
        changes_after(target, window.since),
        places,
        hours,
    )


def _groups(target: Target, errors: Errors, now: float) -> list[Group]:
    """Return the errors that say the same together, the largest group first.

    Rare messages form one group, so that many different errors are seen; when that group is small
    too, it is left out beside larger ones.
    """
    by_pattern: dict[str, Errors] = defaultdict(list)
    for path, entry in errors:
        by_pattern[pattern(entry.message)].append((path, entry))
    limit = target.threshold("log_errors")
    many: list[Errors] = []
    rest: Errors = []
    for said in by_pattern.values():
        if limit.judge(len(said)) is Status.OK:
            rest += said
        else:
            many.append(said)
    if rest and (not many or limit.judge(len(rest)) is not Status.OK):
        many.append(rest)
    groups = []
    for said in sorted(many, key=len, reverse=True):
        said.sort(key=lambda error: error[1].at)
        moments = [entry.at for _, entry in said]
        groups.append(Group(said, _begun(moments), _ended(moments, now)))
    return groups


def errors_of(groups: Iterable[Group]) -> Errors:
    """Return the errors of `groups`."""
    return [error for group in groups for error in group.errors]


def _begun(moments: list[float]) -> float:
    """Return when the last errors without a long pause between them began."""
    begun = moments[-1]
    for at in reversed(moments):
        if begun - at > _PAUSE_S:
            break
        begun = at
    return begun


def _ended(moments: list[float], now: float) -> float | None:
    """Return when these errors ended; None when the next may come as the others did."""
    gaps = [later - at for at, later in pairwise(moments)]
    long = [gap for gap in gaps if gap > _PAUSE_S]
    usual = gaps if len(long) >= _COME_AGAIN else [gap for gap in gaps if gap <= _PAUSE_S]
    quiet = now - moments[-1] > max(_QUIET_S, _QUIET_GAPS * max(usual, default=_PAUSE_S))
    return moments[-1] if quiet else None


def _started(target: Target) -> dict[str, float]:
    """Return when each process was started last; nothing when its manager cannot be asked."""
    try:
        now, _ = host.host_of(target).clock()
        listed = processes.listed(target)
    except (ServiceError, processes.DaemonGone):
        return {}
    return {
        process.name: now.timestamp() - process.uptime_s
        for process in listed
        if process.uptime_s is not None
    }
