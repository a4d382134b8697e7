"""When a schedule is due."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, tzinfo
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError

_FIELDS = 5  # cron reads more than five as something else
# The syntax of every cron, without the L, W and # of some.
_FIELD = re.compile(
    r"([\d*,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+",
    re.IGNORECASE,
)


_LOCALTIME = Path("/etc/localtime")


def zone() -> tzinfo:
    """Return this machine's time zone with its rules, not only its present offset.

    `TZ` takes precedence, as for every program.
    """
    named = os.environ.get("TZ", "").removeprefix(":")
    try:
        if named:
            return _from_file(Path(named)) if named.startswith("/") else ZoneInfo(named)
        return _from_file(_LOCALTIME)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        # Such as TZ=CET-1CEST; the present offset is right until the clocks change.
        return datetime.now().astimezone().tzinfo or UTC


def _from_file(path: Path) -> tzinfo:
    _, is_named, name = str(path.resolve()).partition("/zoneinfo/")
    if is_named:
        return ZoneInfo(name)
    with path.open("rb") as file:
        return ZoneInfo.from_file(file)


def local_now() -> datetime:
    """Return this moment in this machine's time zone."""
    return datetime.now(zone())


def next_times(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` times of `schedule` after `after`, in its time zone.

    Fewer if there are no more. Raises ConfigError on an invalid cron expression.
    """
    return list(islice(_times(schedule, after), count))


def last_time(schedule: Schedule, before: datetime) -> datetime | None:
    """Return when `schedule` was last due, at or before `before`; None if never."""
    times = _times(schedule, before, reverse=True)
    # Cron starts within the minute that was due.
    minute = before.replace(second=0, microsecond=0)
    return minute if minute in next_times(schedule, _just_before(minute), 1) else next(times, None)


def in_words(schedule: Schedule) -> str:
    """Return the expression in words, such as `At 07:15 every day`."""
    return _parsed(schedule, local_now(), reverse=False).explain()


def checked(schedule: Schedule) -> CronSim:
    """Return the parsed expression. Raises ConfigError if it is invalid."""
    return _parsed(schedule, local_now(), reverse=False)


def _just_before(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() - 1, moment.tzinfo)


def _times(schedule: Schedule, at: datetime, *, reverse: bool = False) -> CronSim:
    return _parsed(schedule, at, reverse)


def _parsed(schedule: Schedule, at: datetime, reverse: bool) -> CronSim:
    try:
        fields = schedule.cron.split()
        if len(fields) != _FIELDS or not all(map(_FIELD.fullmatch, fields)):
            raise CronSimError("not five valid fields")
        return CronSim(schedule.cron, at, reverse=reverse)
    except CronSimError as error:
        raise ConfigError(
            f"Schedule {schedule.name}: '{schedule.cron}' is not a cron expression "
            f"({str(error).lower()}). Write minute, hour, day, month and weekday, like 15 7 * * *."
        ) from error
