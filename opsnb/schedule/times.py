"""When a schedule is due."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice

from cronsim import CronSim, CronSimError

from opsnb.errors import ConfigError
from opsnb.target import Schedule

_FIELDS = 5  # cron's own; more would mean something else to it
# What every cron understands: not the L, W and # of some programs.
_FIELD = re.compile(
    r"([\d*,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+",
    re.IGNORECASE,
)


def next_times(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` times that `schedule` is due after `after`, in its time zone.

    Fewer when there are no more. Raises ConfigError on an expression that cron would not take.
    """
    return list(islice(_times(schedule, after), count))


def last_time(schedule: Schedule, before: datetime) -> datetime | None:
    """Return when `schedule` was last due, at or before `before`; None when it never was."""
    times = _times(schedule, before, reverse=True)
    # Cron starts within the minute: that is the time that it was due at.
    minute = before.replace(second=0, microsecond=0)
    return minute if minute in next_times(schedule, _just_before(minute), 1) else next(times, None)


def in_words(schedule: Schedule) -> str:
    """Return the expression in words, such as `At 07:15 every day`."""
    return _parsed(schedule, datetime.now().astimezone(), reverse=False).explain()


def _just_before(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() - 1, moment.tzinfo)


def _times(schedule: Schedule, at: datetime, *, reverse: bool = False) -> CronSim:
    return _parsed(schedule, at, reverse)


def _parsed(schedule: Schedule, at: datetime, reverse: bool) -> CronSim:
    try:
        fields = schedule.cron.split()
        if len(fields) != _FIELDS or not all(map(_FIELD.fullmatch, fields)):
            raise CronSimError("not five fields that cron understands")
        return CronSim(schedule.cron, at, reverse=reverse)
    except CronSimError as error:
        raise ConfigError(
            f"Schedule {schedule.name}: '{schedule.cron}' is no cron expression "
            f"({str(error).lower()}). Write minute, hour, day, month and weekday, like 15 7 * * *."
        ) from error
