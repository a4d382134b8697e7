"""When a line of a log was written: every way that services, web servers and syslog put it.

Pure functions, which read nothing.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

DAY_S = 86400
_YEAR_5138 = 1e11
_YEAR_2001 = 1e9
_MOST_MINUTES = 10_000
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH = "|".join(_MONTHS)


@dataclass(frozen=True)
class Clock:
    """The host's time, in seconds since 1970, and its zone; None is this process's own."""

    now: float
    zone: tzinfo | None = None
    minutes: OrderedDict[tuple[str, str], float | None] = field(
        default_factory=OrderedDict, compare=False
    )
    """Minutes that have been converted before: neighbouring lines are of the same one."""

    def minute(self, date: str, time: str, zone: str) -> float | None:
        """Return a minute such as `2026-11-23`, `10:00`; None when there is no such day."""
        key = date + time, zone
        if key not in self.minutes:
            if len(self.minutes) >= _MOST_MINUTES:
                self.minutes.popitem(last=False)
            self.minutes[key] = self._minute(f"{date}T{time}", zone)
        return self.minutes[key]

    def _minute(self, text: str, zone: str) -> float | None:
        try:
            moment = datetime.fromisoformat(text + zone)
            if moment.tzinfo is not None:
                return moment.timestamp()
            # The hour that summer time's end repeats has two readings; the later that has come is
            # right for a log that is read as it is written.
            late, early = (
                moment.replace(tzinfo=self.zone, fold=fold).timestamp() for fold in (1, 0)
            )
        except (ValueError, OverflowError):
            return None
        return late if late <= self.now else early

    def without_year(self, month: int, day: int, time: str) -> float | None:
        """Return the minute of a stamp without a year: the last such day not yet to come."""
        year = datetime.fromtimestamp(self.now, self.zone).year
        for each in range(year + 1, year - 5, -1):  # 29 February is not in every year
            moment = self.minute(f"{each}-{month:02}-{day:02}", time, "")
            # A day of grace for clocks that disagree.
            if moment is not None and moment <= self.now + DAY_S:
                return moment
        return None

    def of_number(self, value: str | float) -> float | None:
        """Return a moment that is given in seconds, or in milli-, micro- or nanoseconds."""
        try:
            seconds = float(value)
        except (ValueError, OverflowError):
            return None
        if not math.isfinite(seconds):
            return None
        while seconds > _YEAR_5138:
            seconds /= 1000
        return min(seconds, self.now)


class Stamp(NamedTuple):
    """The stamp of a line."""

    at: float
    """In seconds since 1970. A time to come counts as now."""
    end: int
    """Where it ends in the line."""
    level: str = ""
    """The level, where it stands before the stamp."""
    is_syslog: bool = False
    """Whether a host and a program follow it."""


_TIME = r"\d\d:\d\d"
_SECONDS = r"(?:[0-5]\d|60)(?:[.,]\d+)?"
_ZONE = r"(?:[Zz]\b|(?:UTC|GMT)(?:[+-]\d\d:?\d\d)?\b|[+-]\d\d:?\d\d(?!\d))"
_BEFORE_LEVEL = (
    r"(?:level=\w+|\[?(?i:trace|debug|verbose|silly|http|info|information|notice|warn|warning|err|"
    r"error|fatal|crit|critical|alert|emerg|emergency|panic|severe)\]?:?)"
)
# One pattern, tried once a line; the groups of the one form that fits are set.
_STAMP = re.compile(
    rf"""
    (?:(?P<level>{_BEFORE_LEVEL})\s+)?
    (?:(?:ts|t|time|timestamp|at|date)=)?
    ["'\[(]?
    (?:
        (?P<date>\d{{4}}[-/]\d\d[-/]\d\d)[T\ ](?P<time>{_TIME})
        (?::(?P<seconds>{_SECONDS}))?
        (?:\ ?(?P<zone>{_ZONE})|(?P<hours>[+-]\d\d)(?![\d:]))?
        ["'\])]?
    |
        (?P<month>{_MONTH})\ {{1,2}}(?P<day>\d{{1,2}})\ (?:(?P<year>\d{{4}})\ )?
        (?P<syslog>{_TIME}):(?P<syslog_s>{_SECONDS})(?=[\ \])])[\])]?
    |
        (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\ (?:
            (?P<c_month>{_MONTH})\ {{1,2}}(?P<c_day>\d{{1,2}})\ (?:(?P<js_year>\d{{4}})\ )?
            (?P<c_time>{_TIME}):(?P<c_s>{_SECONDS})(?:\ (?P<c_year>\d{{4}}))?
        |
            (?P<r_day>\d{{1,2}})\ (?P<r_month>{_MONTH})\ (?P<r_year>\d{{4}})\ (?P<r_time>{_TIME}):
            (?P<r_s>{_SECONDS})
        )(?:\ ?(?P<r_zone>{_ZONE}))?(?:\ \([^)]*\))?[\])]?
    |
        (?P<f_one>\d{{1,2}})[/.](?P<f_two>\d{{1,2}})[/.](?P<f_year>\d{{4}}),?\ (?P<f_hour>\d{{1,2}})
        :(?P<f_minute>\d\d):(?P<f_s>{_SECONDS})(?:\ ?(?P<half>[AaPp])\.?[Mm]\.?)?[\])]?
    |
        (?:\d+:[A-Z]\ )?(?P<d_day>\d{{1,2}})[\ /-](?P<d_month>{_MONTH})[\ /-]
        (?P<d_year>\d{{4}})[\ :](?P<d_time>{_TIME}):(?P<d_s>{_SECONDS})
        (?:\ ?(?P<d_zone>{_ZONE}))?[\])]?
    |
        (?P<epoch>\d{{10}}(?:\.\d{{1,9}})?|\d{{13}}(?:\.\d{{1,6}})?|\d{{16}}|\d{{19}})
        ["'\])]?(?=[\s|:,;]|$)
    |
        (?P<g_month>(?<=[EWIF])[01]\d)(?P<g_day>[0-3]\d)\ (?P<g_time>{_TIME})
        :(?P<g_s>{_SECONDS})(?=\ )
    )
    """,
    re.VERBOSE,
)
# The formats of web servers: who asked stands before the stamp.
_COMBINED = re.compile(
    rf"(?:\S+ )?\S+ \S+ [^\[\]]{{1,64}} \[(\d\d)/({_MONTH})/(\d{{4}}):(\d\d:\d\d):(\d\d(?:\.\d+)?)"
    r" ?([+-]\d{4})?\] "
)
_LOGFMT = re.compile(r"\w[\w.]*=")
_LOGFMT_TIME = re.compile(
    r'(?<![\w.])(?:ts|time|timestamp|@timestamp|t|at|date)="?(?P<value>[^"\s]+(?: [\d:.,]+)?)'
)
_TRAILING_TIME = re.compile(r'"(?:timestamp|time|@timestamp|ts)":(?:"([^"]+)"|(\d{10,19}))')
TIME_OF_DAY = re.compile(r"\[?(?P<time>\d\d:\d\d):(?P<seconds>[0-5]\d(?:[.,]\d{1,6})?)\]?(?=\s)")
"""A stamp without any day, as pino-pretty writes it."""


def stamp_of(line: str, clock: Clock) -> Stamp | None:
    """Return the stamp that `line` begins with, or that its format has elsewhere."""
    match = _STAMP.match(line)
    letter = ""
    if match is None and line[:1] in ("E", "W", "I", "F") and line[1:5].isdigit():
        match = _STAMP.match(line, 1)  # glog: the level's letter stands right before the day
        letter = f"{line[0]}:"
    if match is None:
        return _elsewhere(line, clock)
    at = _moment(match, clock)
    if at is None:
        return None
    return Stamp(
        min(at, clock.now), match.end(), match["level"] or letter, match["syslog"] is not None
    )


def moment_of(value: Any, clock: Clock) -> float | None:
    """Return the time in a field of a JSON or logfmt line."""
    if isinstance(value, bool | dict | list) or value is None:
        return None
    if not isinstance(value, str):
        return clock.of_number(value)
    if re.fullmatch(r"\d+(?:\.\d+)?", value):
        return clock.of_number(value)
    match = _STAMP.match(value)
    at = _moment(match, clock) if match else None
    return None if at is None else min(at, clock.now)


def _elsewhere(line: str, clock: Clock) -> Stamp | None:
    if combined := _COMBINED.match(line):
        day, month, year, time, seconds, zone = combined.groups()
        date = f"{year}-{_MONTHS.index(month) + 1:02}-{day}"
        minute = clock.minute(date, time, zone or "")
        return (
            None
            if minute is None
            else Stamp(min(minute + float(seconds), clock.now), combined.end())
        )
    if _LOGFMT.match(line):
        match = _LOGFMT_TIME.search(line, 0, 2000)
        at = moment_of(match["value"], clock) if match else None
        return None if at is None else Stamp(at, 0)
    if line.rstrip().endswith("}") and (trailing := _TRAILING_TIME.search(line)):
        at = moment_of(trailing[1] or trailing[2], clock)  # winston's simple format
        return None if at is None else Stamp(at, 0)
    return None


def _moment(match: re.Match[str], clock: Clock) -> float | None:
    """Return the time of a stamp, in seconds since 1970; None when there is no such day."""
    if match["date"]:
        zone = match["zone"] or match["hours"] or ""
        minute = clock.minute(match["date"].replace("/", "-"), match["time"], _zone(zone))
        return _plus(minute, match["seconds"] or "0")
    if match["epoch"]:
        at = clock.of_number(match["epoch"])
        return at if at is not None and at >= _YEAR_2001 else None
    for prefix in ("", "g_", "c_", "r_", "d_"):
        if month := match[f"{prefix}month"]:
            return _named(match, prefix, month, clock)
    return _of_locale(match, clock)


def _named(match: re.Match[str], prefix: str, month: str, clock: Clock) -> float | None:
    """Return the time of a stamp with the name of a month, or glog's."""
    number = int(month) if month.isdigit() else _MONTHS.index(month) + 1
    day = int(match[f"{prefix}day"])
    groups = match.groupdict()
    time = match[f"{prefix}time"] if prefix else match["syslog"]
    seconds = match[f"{prefix}s"] if prefix else match["syslog_s"]
    year = groups.get(f"{prefix}year") or (groups["js_year"] if prefix == "c_" else None)
    zone = _zone(groups.get("d_zone" if prefix == "d_" else "r_zone") or "")
    if year is None:
        return _plus(clock.without_year(number, day, time), seconds)
    return _plus(clock.minute(f"{year}-{number:02}-{day:02}", time, zone), seconds)


def _of_locale(match: re.Match[str], clock: Clock) -> float | None:
    """Return the time that a locale writes; the month is first in America, with AM and PM too."""
    one, two = int(match["f_one"]), int(match["f_two"])
    is_month_first = one <= 12 and (match["half"] or two > 12 or "/" in match[0])
    month, day = (one, two) if is_month_first else (two, one)
    hour = int(match["f_hour"])
    if half := match["half"]:
        hour = hour % 12 + (12 if half in "Pp" else 0)
    date = f"{match['f_year']}-{month:02}-{day:02}"
    return _plus(clock.minute(date, f"{hour:02}:{match['f_minute']}", ""), match["f_s"])


def _zone(text: str) -> str:
    if text in ("z", "UTC", "GMT"):
        return "Z"
    return text[3:] if text.startswith(("UTC", "GMT")) else text


def _plus(minute: float | None, seconds: str) -> float | None:
    return None if minute is None else minute + float(seconds.replace(",", "."))
