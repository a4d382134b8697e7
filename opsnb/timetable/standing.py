"""The state of each schedule: its last and next run, and whether it is late.

Times are compared in UTC: local clocks are set back once a year.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psutil

from opsnb.config.file import Config
from opsnb.config.unattended import Schedule
from opsnb.records.reader import Reader
from opsnb.timetable import traces
from opsnb.timetable.last_run import LastRun, last_run
from opsnb.timetable.times import in_words, next_times, zone
from opsnb.view import commands
from opsnb.view.formats import span

_NEXT = 3
_LONGEST_GRACE, _SHORTEST_GRACE = timedelta(hours=1), timedelta(minutes=1)
_LOOK_BACK = timedelta(days=7)
_MOST_MISSED = 1000  # as for a schedule of every minute that stopped a week ago


@dataclass(frozen=True)
class Standing:
    """The state of a schedule at a moment."""

    schedule: Schedule
    targets: tuple[str, ...]
    """Every target that it checks, with globs and `all` expanded."""
    words: str
    """Its times in words."""
    at: datetime
    last: LastRun | None
    running: bool
    next: list[datetime]
    grace: timedelta
    due: datetime | None
    """The time of the overdue run; None if there is none."""
    missed: list[datetime] = field(default_factory=list)
    """The times without a run in the last 7 days, since the oldest known run."""
    reason: str = ""
    """Why it is overdue, if known."""
    command: str = ""
    """The command that fixes it; empty if there is none."""
    unknown: str = ""
    """Why it is unknown whether it is late; empty when it is known."""

    @property
    def is_late(self) -> bool:
        """Whether a run is overdue, and its grace period has passed."""
        return self.due is not None

    @property
    def late_by(self) -> timedelta:
        """How long the run is overdue."""
        return self.at - self.due.astimezone(UTC) if self.due else timedelta()

    @property
    def sentence(self) -> str:
        """The state in one sentence: `daily is 2 h late: due Sat 28 Nov 07:15, ...`."""
        name = self.schedule.name
        if self.unknown:
            return f"{name}: {self.unknown}"
        if self.due:
            last = f"last run {moment(self.last.started)}" if self.last else "no run so far"
            reason = f" {self.reason}" if self.reason else ""
            return f"{name} is {span(self.late_by)} late: due {moment(self.due)}, {last}.{reason}"
        if self.running and self.last:
            return f"{name} has been running since {moment(self.last.started)}."
        upcoming = f"next {moment(self.next[0])}" if self.next else "never due again"
        return f"{name} is on time, {upcoming}."

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        last = self.last
        return {
            "name": self.schedule.name,
            "runbook": self.schedule.runbook,
            "targets": list(self.schedule.targets),
            "checks": list(self.targets),
            "cron": self.schedule.cron,
            "apply": self.schedule.apply,
            "next": [time.isoformat() for time in self.next],
            "last": {
                "run_id": last.run_id,
                "status": last.status or None,
                "exit_code": last.exit_code,
                "started": last.started.isoformat(),
                "message": last.sentence,
            }
            if last
            else None,
            "running": self.running,
            "grace_s": self.grace.total_seconds(),
            "late": self.is_late,
            "late_s": self.late_by.total_seconds(),
            "due": self.due.isoformat() if self.due else None,
            "missed": [time.isoformat() for time in self.missed],
            "message": self.sentence,
        }


def standings(config: Config, store: Reader, now: datetime) -> list[Standing]:
    """Return the state of each schedule of `config` at `now`, which has a time zone.

    Raises UsageError on the first one whose targets or times are invalid.
    """
    return [_standing(schedule, config, store, now) for schedule in config.schedules]


def covering(schedules: Sequence[Standing], target: str) -> list[Standing]:
    """Return those of `schedules` that check `target`, by its name, by a glob or by `all`."""
    return [standing for standing in schedules if target in standing.targets]


def _standing(schedule: Schedule, config: Config, store: Reader, now: datetime) -> Standing:
    targets = tuple(config.matching(schedule.targets))
    upcoming = next_times(schedule, now, _NEXT)
    trace = traces.read(schedule, config)
    since = traces.first_seen(schedule, config, now)
    now_utc = now.astimezone(UTC)
    last, unknown = last_run(schedule, trace, store, now_utc)
    known = [start.astimezone(UTC) for start in trace.starts]
    if last:
        known.append(last.started.astimezone(UTC))
    ahead = max((start for start in known if start > now_utc), default=None)
    known = [start for start in known if start <= now_utc]
    due = _overdue(schedule, max([since, *known]), now)
    return Standing(
        schedule=schedule,
        targets=targets,
        words=in_words(schedule),
        at=now_utc,
        last=last,
        running=trace.is_running,
        next=upcoming,
        grace=grace(schedule, due or (upcoming[0] if upcoming else now)),
        due=None if unknown else due,
        missed=_missed(schedule, sorted(known), since, now),
        reason=_reason(due, trace, traces.refusal(schedule, config), last, ahead) if due else "",
        command=_command(trace, last) if due else "",
        unknown=unknown,
    )


def grace(schedule: Schedule, due: datetime) -> timedelta:
    """Return how long after `due` a run may begin before it is late."""
    if schedule.grace is not None:
        return timedelta(seconds=schedule.grace)
    following = next_times(schedule, due, 1)
    if not following:
        return _LONGEST_GRACE
    interval = following[0].astimezone(UTC) - due.astimezone(UTC)
    return min(max(interval / 10, _SHORTEST_GRACE), _LONGEST_GRACE)


def _overdue(schedule: Schedule, after: datetime, now: datetime) -> datetime | None:
    """Return the first time after `after` at which a run was due but did not begin, if any."""
    for due in next_times(schedule, after.astimezone(now.tzinfo), 1):
        if due.astimezone(UTC) + grace(schedule, due) <= now.astimezone(UTC):
            return due
    return None


def _missed(
    schedule: Schedule, starts: Sequence[datetime], since: datetime, now: datetime
) -> list[datetime]:
    """Return the due times at which no run began before the next due time."""
    begin = max(now.astimezone(UTC) - _LOOK_BACK, starts[0] if starts else since)
    times = islice(_due_times(schedule, begin, now), _MOST_MISSED)
    return [
        due
        for due, end in times
        if not any(due.astimezone(UTC) <= start < end for start in starts)
        and due.astimezone(UTC) + grace(schedule, due) <= now.astimezone(UTC)
    ]


def _due_times(
    schedule: Schedule, begin: datetime, now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield each due time after `begin` until `now`, and the next one."""
    due = next(iter(next_times(schedule, begin.astimezone(now.tzinfo), 1)), None)
    while due and due.astimezone(UTC) <= now.astimezone(UTC):
        following = next(iter(next_times(schedule, due, 1)), None)
        yield due, (following or datetime.max.replace(tzinfo=UTC)).astimezone(UTC)
        due = following


def _reason(
    due: datetime,
    trace: traces.Trace,
    refusal: traces.Refusal | None,
    last: LastRun | None,
    ahead: datetime | None,
) -> str:
    if trace.is_running and last:
        return f"The run of {moment(last.started)} has not ended yet."
    if refusal and refusal.at >= due.astimezone(UTC):
        return f"The run could not begin: {refusal.why}"
    if ahead:
        dated = f"{ahead.astimezone(zone()):%Y-%m-%d %H:%M}"
        return f"A run is dated {dated}, so the clock of this machine was set back."
    booted = datetime.fromtimestamp(psutil.boot_time(), UTC)
    if booted > due.astimezone(UTC):
        return f"This machine was off or starting then. It has been up since {moment(booted)}."
    if last is None:
        return "It has never been started."
    return "Check that cron is running and has the line of this schedule."


def _command(trace: traces.Trace, last: LastRun | None) -> str:
    """Return the command for a schedule that is late."""
    if trace.is_running:
        return ""
    if last is None:
        return commands.line("schedule", "crontab", "--install")
    return commands.line("schedule", "crontab")


def moment(at: datetime) -> str:
    """Return a moment in this machine's time zone: `Sat 28 Nov 07:15`."""
    return f"{at.astimezone(zone()):%a %d %b %H:%M}"
