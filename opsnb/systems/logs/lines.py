"""What a line of a log says: when it was written, how bad it is, and its message.

Pure functions, which know the shapes that services, pm2 and syslog write; they read nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Clock:
    """The host's time, in seconds since 1970, and its zone; None is this process's own."""

    now: float
    zone: tzinfo | None = None
    minutes: dict[tuple[str, str], float | None] = field(default_factory=dict, compare=False)
    """Minutes that have been converted before: neighbouring lines are of the same one."""


class Verdict(NamedTuple):
    """How bad an entry is, and its message without stamp and level."""

    severe: bool | None
    """Whether its level is error or worse; None when it has no level."""
    message: str


class Head(NamedTuple):
    """The first line of an entry."""

    at: float
    """When it was written, in seconds since 1970."""
    rest: str
    """The line behind its stamp."""
    level: str = ""
    """The level, where it stands before the stamp."""
    priority: str = ""
    """Syslog's priority, where it is written."""
    fields: dict[str, Any] | None = None
    """Those of a JSON line that has its stamp in one of them."""

    def verdict(self) -> Verdict:
        """Return how bad it is and what it says."""
        fields = self.fields or _fields(self.rest)
        if fields:
            return _json_verdict(fields)
        found = level_of(self.level + self.rest)
        if self.priority:
            return found._replace(severe=int(self.priority) % 8 <= 3)
        return found


class ErrorEntry(NamedTuple):
    """One error: a line, and the lines without a stamp that belong to it."""

    at: float
    message: str


_SEVERE = "err|error|fatal|crit|critical|alert|emerg|emergency|panic|severe"
_MILD = "trace|debug|verbose|silly|info|information|notice|warn|warning"
# Words that are a level wherever a message begins with them; the others may begin a sentence.
_PLAIN = "trace|debug|verbose|info|warn|warning|err|error|fatal"
_ANY = f"{_SEVERE}|{_MILD}"
_SEVERE_WORDS = frozenset(_SEVERE.split("|"))
_KNOWN_WORDS = frozenset(_ANY.split("|"))

_TRACES = ("err", "fatal", "crit", "alert", "emerg", "panic", "severe")

_PM2_NAME = r"(?:\d+\|[^|]{1,64}\|[ ]?)?"
_STAMP = re.compile(
    rf"""
    {_PM2_NAME}
    (?:<(?P<pri>\d{{1,3}})>(?P<rfc5424>1\ )?)?
    (?:
        (?P<level>(?:level=\w+|\[?(?i:{_ANY})\]?:?)\s+)?
        (?:(?:ts|t|time|timestamp|at|date)=)?
        ["'\[(]?
        (?P<date>\d{{4}}[-/]\d\d[-/]\d\d)[T\ ](?P<time>\d\d:\d\d)
        (?::(?P<seconds>(?:[0-5]\d|60)(?:[.,]\d+)?))?
        (?:\ ?(?P<zone>[Zz]\b|(?:UTC|GMT)\b|[+-]\d\d:?\d\d(?!\d))|(?P<hours>[+-]\d\d)(?![\d:]))?
        ["'\])]?
    |
        (?P<minute>(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)
        \ {{1,2}}\d{{1,2}}\ \d\d:\d\d):(?P<second>(?:[0-5]\d|60)(?:\.\d+)?)(?=\ )
    )
    """,
    re.VERBOSE,
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# The formats of web servers: who asked stands before the stamp.
_COMBINED = re.compile(
    r"\S+ \S+ [^\[\]]{1,64} \["
    rf"(\d\d/(?:{'|'.join(_MONTHS)})/\d{{4}}:\d\d:\d\d:\d\d [+-]\d{{4}})\] "
)
_SYSLOG_TAG = re.compile(r" \S+ [^\s:\[\]]{1,64}(?:\[\d+\]: ?|: )")
# Behind an ISO stamp, where other words stand at the same place, only a process id tells.
_ISO_SYSLOG_TAG = re.compile(rf" (?!\W?(?i:{_ANY})\b)\S+ [^\s:\[\]]{{1,64}}\[\d+\]: ?")
_RFC5424_HEAD = re.compile(r" \S+ \S+ \S+ \S+ (?:-|(?:\[[^\]]*\])+) ?")
_ANSI = re.compile(r"\x1b\[[\d;]*m")
_STACK_FRAME = re.compile(r":?\s{3,}at\s\S")

_LEVEL = re.compile(
    rf"""
    ^[\s:|\[(<*-]*(?:(?P<lead>(?i:{_PLAIN}))(?![\w/.-])|(?P<titled>(?i:{_ANY}))(?=\]?:))
    | \b(?:level|lvl|severity)=["']?(?P<key>(?i:{_ANY}))\b
    | [\[(<](?P<box>(?i:{_ANY}))[\])>]
    | (?<![\w/.=-])(?P<shout>{_ANY.upper()})(?![\w/.-])
    | (?<!\w)(?P<postgres>LOG|DETAIL|HINT|STATEMENT|CONTEXT|QUERY)(?=:\ \ )
    """,
    re.VERBOSE,
)
_LEVEL_WITHIN = 200  # characters of a line in which its level stands
_ERROR = re.compile("error", re.IGNORECASE)
_NOT_AN_ERROR = re.compile(
    r"\b(?:no|0|zero|without(?: any)?) errors?\b|/[\w./-]*error\w*", re.IGNORECASE
)
_LOGFMT_MESSAGE = re.compile(r'\bmsg=(?:"((?:[^"\\]|\\.)*)"|(\S+))')

_TIME_KEYS = ("time", "timestamp", "ts", "@timestamp", "datetime", "date")
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level", "level_name", "loglevel")
_MESSAGE_KEYS = ("msg", "message", "error", "err", "event", "log", "text")
_JSON_START = re.compile(rf"{_PM2_NAME}:?\s*\{{")
_PINO_ERROR = 50
_YEAR_5138 = 1e11
_DAY_S = 86400


def errors_in(lines: Iterable[str], clock: Clock, since: float) -> Iterator[ErrorEntry]:
    """Yield the errors among `lines`, the oldest first, that are not older than `since`.

    A line without a stamp belongs to the entry before it, so that a stack trace is one error.
    """
    entry: Head | None = None  # the one that the lines without a stamp could make an error
    for line in lines:
        head = parse(line, clock)
        if head is None:
            if entry and says_error(line) and entry.verdict().severe is None:
                yield ErrorEntry(entry.at, line.strip())
                entry = None
            continue
        entry = head if head.at >= since else None
        if entry and _may_be_error(line):
            severe, message = entry.verdict()
            if says_error(message) if severe is None else severe:
                yield ErrorEntry(entry.at, message or line.strip())
                entry = None


def first_stamp(lines: Iterable[str], clock: Clock) -> float | None:
    """Return when the first line that has a stamp was written, in seconds since 1970."""
    return next((head.at for line in lines if (head := parse(line, clock))), None)


def parse(line: str, clock: Clock) -> Head | None:
    """Return what `line` says, or None when it has no stamp. A time to come counts as now."""
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    match = _STAMP.match(line)
    if match is None:
        return _parse_json(line, clock) if "{" in line[:80] else _parse_combined(line, clock)
    at = _moment(match, clock)
    if at is None:
        return None
    rest = line[match.end() :]
    if header := _syslog_header(match).match(rest):
        rest = rest[header.end() :]
    if "   at " in line and _STACK_FRAME.match(rest):
        return None
    return Head(at, rest, match["level"] or "", match["pri"] or "")


def _syslog_header(match: re.Match[str]) -> re.Pattern[str]:
    """Return what may stand between the stamp and the message."""
    if match["rfc5424"]:
        return _RFC5424_HEAD
    return _SYSLOG_TAG if match["minute"] else _ISO_SYSLOG_TAG


def _may_be_error(line: str) -> bool:
    """Say quickly of most lines that they are none."""
    lower = line.lower()
    return any(word in lower for word in _TRACES) or "{" in line or "<" in line[:80]


def level_of(text: str) -> Verdict:
    """Return whether the level in `text` is error or worse, and the message without it.

    None when there is no level.
    """
    match = _LEVEL.search(text, 0, _LEVEL_WITHIN)
    if match is None:
        return Verdict(None, text.strip(" \t\r:"))
    word = match[match.lastgroup or 0].lower()
    if logfmt := _LOGFMT_MESSAGE.search(text):
        message = logfmt[1] or logfmt[2] or ""
    else:
        message = text[match.end() :]
    return Verdict(word in _SEVERE_WORDS, message.strip(" \t\r:|])>-"))


def says_error(text: str) -> bool:
    """Say whether the word error is in `text`, as `grep -i error` has it.

    "no errors" and paths like `/errors` do not count.
    """
    return bool(_ERROR.search(text) and _ERROR.search(_NOT_AN_ERROR.sub("", text)))


_VARYING = re.compile(
    r"""
    \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b
    | \b(?:0x)?(?=[a-f]*\d)[0-9a-f]{8,}\b
    | \d+(?:[.:]\d+)*
    """,
    re.VERBOSE | re.IGNORECASE,
)


def pattern(message: str) -> str:
    """Return `message` with numbers, ids and addresses as `#`, so that alike ones are equal."""
    return _VARYING.sub("#", message[:300])


def _moment(match: re.Match[str], clock: Clock) -> float | None:
    """Return the time of a stamp, in seconds since 1970; None when there is no such day."""
    if match["minute"]:
        key, seconds = (match["minute"], ""), match["second"]
    else:
        key = f"{match['date']}T{match['time']}", match["zone"] or match["hours"] or ""
        seconds = match["seconds"] or "0"
    if key not in clock.minutes:
        clock.minutes[key] = _iso_minute(*key, clock) if match["date"] else _minute(key[0], clock)
    minute = clock.minutes[key]
    if minute is None:
        return None
    return min(minute + float(seconds.replace(",", ".")), clock.now)


def _iso_minute(text: str, zone: str, clock: Clock) -> float | None:
    zone = "Z" if zone in ("z", "UTC", "GMT") else zone
    try:
        return _epoch(datetime.fromisoformat(text.replace("/", "-") + zone), clock)
    except (ValueError, OverflowError):
        return None


def _minute(text: str, clock: Clock) -> float | None:
    """Return the minute of a stamp without a year: the last such day that is not yet to come."""
    month, day, time = text.split()
    now = datetime.fromtimestamp(clock.now, clock.zone)
    for year in (now.year + 1, now.year, now.year - 1):
        moment = _iso_minute(
            f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}T{time}", "", clock
        )
        # A day of grace for clocks that disagree; 29 February is not in every year.
        if moment is not None and moment <= clock.now + _DAY_S:
            return moment
    return None


def _epoch(moment: datetime, clock: Clock) -> float:
    if moment.tzinfo is not None:
        return moment.timestamp()
    # The hour that summer time's end repeats has two readings; the later that has come is right
    # for a log that is read as it is written.
    late, early = (moment.replace(tzinfo=clock.zone, fold=fold).timestamp() for fold in (1, 0))
    return late if late <= clock.now else early


def _parse_combined(line: str, clock: Clock) -> Head | None:
    match = _COMBINED.match(line)
    if match is None:
        return None
    day, month, rest = match[1].split("/")
    year, hour, minute, second = rest.partition(" ")[0].split(":")
    key = f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{hour}:{minute}", rest[-5:]
    if key not in clock.minutes:
        clock.minutes[key] = _iso_minute(*key, clock)
    at = clock.minutes[key]
    return None if at is None else Head(min(at + int(second), clock.now), line[match.end() :])


def _parse_json(line: str, clock: Clock) -> Head | None:
    fields = _fields(line)
    if fields is None:
        return None
    at = _json_moment(_first(fields, _TIME_KEYS), clock)
    return None if at is None else Head(at, "", fields=fields)


def _first(fields: dict[str, Any], keys: Iterable[str]) -> Any:
    for key in keys:
        if key in fields:
            return fields[key]
    return None


def _fields(line: str) -> dict[str, Any] | None:
    """Return the fields of a JSON line, which pm2 may have put a name or a stamp before."""
    start = _JSON_START.match(line)
    if start is None:
        return None
    try:
        fields = json.loads(line[start.end() - 1 :])
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _json_verdict(fields: dict[str, Any]) -> Verdict:
    message = next((text for key in _MESSAGE_KEYS if (text := _text(fields.get(key)))), "")
    severe = _json_severe(_first(fields, _LEVEL_KEYS))
    if severe is not None:
        return Verdict(severe, message)
    found = level_of(message)
    if found.severe is None and (fields.get("error") or fields.get("err")):
        return Verdict(True, message)
    return found


def _json_severe(level: Any) -> bool | None:
    word = str(level).lower()
    if word in _KNOWN_WORDS:
        return word in _SEVERE_WORDS
    return int(word) >= _PINO_ERROR if word.isdecimal() else None


def _json_moment(value: Any, clock: Clock) -> float | None:
    if isinstance(value, str) and not re.fullmatch(r"\d+(?:\.\d+)?", value):
        match = _STAMP.match(value)
        return _moment(match, clock) if match else None
    if value is None or isinstance(value, bool | dict | list):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    if not math.isfinite(seconds):
        return None
    while seconds > _YEAR_5138:  # milli-, micro- or nanoseconds
        seconds /= 1000
    return min(seconds, clock.now)


def _text(value: Any) -> str:
    """Return the message in a JSON field: text, or an error object's own message."""
    if isinstance(value, dict):
        value = value.get("message")
    return value if isinstance(value, str) else ""
