"""What a line of a log says: when it was written, how bad it is, and its message.

Pure functions, which know the shapes that services, pm2 and syslog write; they read nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Clock:
    """The host's time, in seconds since 1970, and its zone; None is this process's own."""

    now: float
    zone: tzinfo | None = None


class Head(NamedTuple):
    """The first line of an entry."""

    at: float
    """When it was written, in seconds since 1970."""
    severe: bool | None
    """Whether its level is error or worse; None when it has no level."""
    message: str
    """What it says, without stamp and level."""


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

_PM2_NAME = r"(?:\d+\|[^|]{1,64}\| ?)?"
_STAMP = re.compile(
    rf"""
    {_PM2_NAME}
    (?:<(?P<pri>\d{{1,3}})>(?P<rfc5424>1\ )?)?
    (?:
        (?P<level>(?:level=\w+|\[?(?i:{_ANY})\]?:?)\s+)?
        (?:(?:ts|t|time|timestamp|at|date)=)?
        ["'\[(]?
        (?P<year>\d{{4}})[-/](?P<monthday>\d\d[-/]\d\d)
        [T\ ](?P<time>\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)
        (?:\ ?(?P<zone>[Zz]\b|(?:UTC|GMT)\b|[+-]\d\d:?\d\d(?!\d))|(?P<hours>[+-]\d\d)(?![\d:]))?
        ["'\])]?
    |
        (?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)
        \ {{1,2}}(?P<day>\d{{1,2}})\ (?P<clock>\d\d:\d\d:\d\d(?:\.\d+)?)(?=\ )
    )
    """,
    re.VERBOSE,
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_SYSLOG_TAG = re.compile(r" \S+ [^\s:\[\]]{1,64}(?:\[\d+\]: ?|: )")
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
_PINO_ERROR = 50


def errors_in(lines: Iterable[str], clock: Clock, since: float) -> Iterator[ErrorEntry]:
    """Yield the errors among `lines`, the oldest first, that are not older than `since`.

    A line without a stamp belongs to the entry before it, so that a stack trace is one error.
    """
    at, undecided = 0.0, False
    for line in lines:
        head = parse(line, clock)
        if head is not None:
            at = head.at
            severe = says_error(head.message) if head.severe is None else head.severe
            if severe and at >= since:
                yield ErrorEntry(at, head.message or line.strip())
            undecided = head.severe is None and not severe and at >= since
        elif undecided and says_error(line):
            yield ErrorEntry(at, line.strip())
            undecided = False


def first_stamp(lines: Iterable[str], clock: Clock) -> float | None:
    """Return when the first line that has a stamp was written, in seconds since 1970."""
    return next((head.at for line in lines if (head := parse(line, clock))), None)


def parse(line: str, clock: Clock) -> Head | None:
    """Return what `line` says, or None when it has no stamp. A time to come counts as now."""
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    match = _STAMP.match(line)
    if match is None:
        return _parse_json(line, clock) if "{" in line[:80] else None
    at = _moment(match, clock)
    if at is None:
        return None
    rest = line[match.end() :]
    if "{" in rest[:4] and (head := _parse_json(rest.lstrip(": "), clock, at)):
        return head
    header = (_RFC5424_HEAD if match["rfc5424"] else _SYSLOG_TAG).match(rest)
    if header:
        rest = rest[header.end() :]
    if _STACK_FRAME.match(rest):
        return None
    severe, message = level_of((match["level"] or "") + rest)
    if match["pri"]:
        severe = int(match["pri"]) % 8 <= 3
    return Head(at, severe, message)


def level_of(text: str) -> tuple[bool | None, str]:
    """Return whether the level in `text` is error or worse, and the message without it.

    None when there is no level.
    """
    match = _LEVEL.search(text, 0, _LEVEL_WITHIN)
    if match is None:
        return None, text.strip(" \t\r:")
    word = match[match.lastgroup or 0].lower()
    if logfmt := _LOGFMT_MESSAGE.search(text):
        message = logfmt[1] or logfmt[2] or ""
    else:
        message = text[match.end() :]
    return word in _SEVERE_WORDS, message.strip(" \t\r:|])>-")


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
    if match["month"]:
        return _syslog_moment(match, clock)
    zone = match["zone"] or match["hours"] or ""
    if zone in ("z", "UTC", "GMT"):
        zone = "Z"
    monthday = match["monthday"].replace("/", "-")
    return _iso_moment(f"{match['year']}-{monthday}T{match['time']}{zone}", clock)


def _iso_moment(text: str, clock: Clock) -> float | None:
    try:
        return _epoch(datetime.fromisoformat(text), clock)
    except (ValueError, OverflowError):
        return None


def _syslog_moment(match: re.Match[str], clock: Clock) -> float | None:
    """Return the time of a stamp without a year: the last such day that is not yet to come."""
    month = _MONTHS.index(match["month"]) + 1
    year = datetime.fromtimestamp(clock.now, clock.zone).year
    for candidate in (year + 1, year, year - 1):
        text = f"{candidate}-{month:02}-{int(match['day']):02}T{match['clock']}"
        try:
            naive = datetime.fromisoformat(text)
        except ValueError:
            continue  # 29 February
        # A day of grace for clocks that disagree.
        if naive.replace(tzinfo=clock.zone).timestamp() <= clock.now + 86400:
            return _epoch(naive, clock)
    return None


def _epoch(moment: datetime, clock: Clock) -> float:
    if moment.tzinfo is not None:
        return min(moment.timestamp(), clock.now)
    # The hour that summer time's end repeats has two readings; the later that has come is right
    # for a log that is read as it is written.
    late, early = (moment.replace(tzinfo=clock.zone, fold=fold).timestamp() for fold in (1, 0))
    return min(late if late <= clock.now else early, clock.now)


def _parse_json(line: str, clock: Clock, at: float | None = None) -> Head | None:
    """Return what a JSON line says; `at` is the stamp that stands before it, if any."""
    try:
        fields = json.loads(line[line.index("{") :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if at is None:
        at = next((_json_moment(fields[key], clock) for key in _TIME_KEYS if key in fields), None)
    if at is None:
        return None
    message = next((text for key in _MESSAGE_KEYS if (text := _text(fields.get(key)))), "")
    level = next((fields[key] for key in _LEVEL_KEYS if key in fields), None)
    severe = _json_severe(level)
    if severe is None:
        severe, message = level_of(message)
    if severe is None and (fields.get("error") or fields.get("err")):
        severe = True
    return Head(at, severe, message)


def _json_severe(level: Any) -> bool | None:
    word = str(level).lower()
    if word in _KNOWN_WORDS:
        return word in _SEVERE_WORDS
    return int(word) >= _PINO_ERROR if word.isdecimal() else None


def _json_moment(value: Any, clock: Clock) -> float | None:
    if isinstance(value, str) and not re.fullmatch(r"\d+(?:\.\d+)?", value):
        match = _STAMP.match(value)
        return _moment(match, clock) if match else None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    while seconds > 1e11:  # milli-, micro- or nanoseconds; as seconds it were the year 5138
        seconds /= 1000
    return min(seconds, clock.now)


def _text(value: Any) -> str:
    """Return the message in a JSON field: text, or an error object's own message."""
    if isinstance(value, dict):
        value = value.get("message")
    return value if isinstance(value, str) else ""
