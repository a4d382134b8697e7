"""A line of a log: when it was written, how bad it is, its message, and its cause.

Pure functions, which know the shapes that services, pm2, containers and syslog write; they read
nothing. A line may be wrapped in another's: a container's, the journal's, syslog's.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from opsnb.redaction import outside
from opsnb.systems.logs.json_fields import fields_of, first_of, stack_of, verdict_of
from opsnb.systems.logs.levels import Verdict, level_of
from opsnb.systems.logs.stamps import Clock, moment_of, stamp_of

_MOST_CUT = 2**16
"""Characters that are read of a line whose end is missing, or that is huge."""
_DEPTH = 3


class Head(NamedTuple):
    """The first line of an entry."""

    at: float
    """When it was written, in seconds since 1970."""
    rest: str
    """The line behind its stamp."""
    level: str = ""
    """The level, where it stands before the stamp."""
    priority: str = ""
    """Syslog's or the journal's priority, where it is written."""
    fields: dict[str, Any] | None = None
    """Those of a JSON line."""
    is_bare: bool = False
    """Whether only what wraps the line has a time, so that it may belong to the entry before."""

    def verdict(self) -> Verdict:
        """Return how bad it is, and its message."""
        found = verdict_of(self.fields) if self.fields else level_of(self.level + self.rest)
        if found.severe is None and self.priority:
            return found._replace(severe=int(self.priority) % 8 <= 3)
        return found

    @property
    def stack(self) -> str:
        """Return the stack of the error in a JSON line."""
        return stack_of(self.fields) if self.fields else ""


_ANSI = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
# pm2 writes `0|api  | `, docker compose `api-1  | `.
_PREFIX = re.compile(r"(?:\d+\|[^|]{1,64}\|[ ]?|[\w.-]{1,64}-\d+ +\| )")
_PRIORITY = re.compile(r"<(?P<pri>\d{1,3})>(?P<rfc5424>1 )?")
_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\S+) (?:stdout|stderr) ([FP])\S* ?")
_SYSLOG_TAG = re.compile(r" \S+ [^\s:\[\]]{1,64}(?:\[\d+\]: ?|: )")
# Behind an ISO stamp, where other words stand at the same place, only a process id shows it.
_ISO_SYSLOG_TAG = re.compile(
    r" (?!\W?(?i:error|warn|info|debug|fatal|trace)\b)\S+ [^\s:\[\]]{1,64}\[\d+\]: ?"
)
_RFC5424_HEAD = re.compile(r" \S+ \S+ \S+ \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?(?:\ufeff)?")
_FRAME = re.compile(r":?\s{2,}(?:at\s\S|\.\.\. \d+ more)|:?\tat\s")
_DOCKER_END = re.compile(r'",\s*"(?:stream|attrs|time)":')
# A load balancer of AWS writes first what it was asked by.
_BALANCER = re.compile(r"(?:https?|h2|wss?|grpcs) (?=\d{4}-\d\d-\d\dT)")
_NEST = re.compile(r"\[Nest\] \d+ +- ")
_WITHIN = re.compile(r"[\s:\-|]*(?=[\d\[])")

_TIME_KEYS = (
    *("time", "timestamp", "ts", "@timestamp", "datetime", "date", "@t", "eventTime"),
    *("t", "asctime"),
)
_CUT_LEVEL = re.compile(r'"(?:level|severity|lvl|levelname)":\s*(?:"(\w+)"|(\d+))')
_CUT_TIME = re.compile(r'"(?:time|timestamp|ts|@timestamp)":\s*(?:"([^"]+)"|([\d.]+))')
_CUT_MESSAGE = re.compile(r'"(?:msg|message)":\s*"((?:[^"\\]|\\.){0,8192})')


def parse(line: str, clock: Clock, depth: int = 0) -> Head | None:
    """Return what `line` says, or None when it has no stamp. A time to come counts as now."""
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    line = line.lstrip("\ufeff\0")
    if line.find("|", 0, 100) >= 0 and (prefix := _PREFIX.match(line)):
        line = line[prefix.end() :]
    if line.startswith("{"):
        return _of_json(line, clock, depth)
    if line.find(" std", 0, 48) >= 0 and (cri := _CRI.match(line)):
        at = moment_of(cri[1], clock)
        return None if at is None else _within(line[cri.end() :], at, clock, depth)
    priority = _PRIORITY.match(line) if line.startswith("<") else None
    start = priority.end() if priority else 0
    if line.startswith("[Nest]") and (nest := _NEST.match(line)):
        start = nest.end()
    elif line[:1] in ("h", "w", "g") and (balancer := _BALANCER.match(line)):
        start = balancer.end()
    text = line[start:] if start else line
    stamp = stamp_of(text, clock)
    if stamp is None:
        return None
    return _behind(
        text,
        Head(stamp.at, text[stamp.end :], stamp.level, priority["pri"] if priority else ""),
        _header(stamp.is_syslog, bool(priority and priority["rfc5424"])),
        clock,
        depth,
    )


def _header(is_syslog: bool, is_rfc5424: bool) -> re.Pattern[str]:
    """Return what may stand between the stamp and the message."""
    if is_rfc5424:
        return _RFC5424_HEAD
    return _SYSLOG_TAG if is_syslog else _ISO_SYSLOG_TAG


def _behind(
    text: str, head: Head, header: re.Pattern[str], clock: Clock, depth: int
) -> Head | None:
    """Return the head of a line of text, by the text after its stamp."""
    rest = head.rest
    match = header.match(rest)
    if match:
        rest = rest[match.end() :]
    if (" at " in text or "\tat " in text) and _FRAME.match(rest):
        return head._replace(rest=rest.lstrip(": "), is_bare=True) if match else None
    inner = rest.lstrip(" :\t|-")
    if inner.startswith("{") and (fields := fields_of(inner)):
        return head._replace(rest=rest, fields=fields)
    if depth < _DEPTH and (within := _WITHIN.match(rest)) and rest is not text:
        stamp = stamp_of(rest[within.end() :], clock)
        if stamp and stamp.end:
            return head._replace(
                rest=rest[within.end() + stamp.end :], level=head.level or stamp.level
            )
    return head._replace(rest=rest, is_bare=bool(match))


def _of_json(line: str, clock: Clock, depth: int) -> Head | None:
    fields = fields_of(line)
    if fields is None:
        return _of_cut_json(line, clock)
    written = fields.get("log")
    if isinstance(written, str) and isinstance(fields.get("time"), str) and "level" not in fields:
        at = moment_of(fields["time"], clock)  # Docker's json-file driver
        return None if at is None else _within(written.rstrip("\r\n"), at, clock, depth)
    if "__REALTIME_TIMESTAMP" in fields:
        return _of_journal(fields, clock, depth)
    value = first_of(fields, _TIME_KEYS)
    if value is None and isinstance(fields.get("meta"), dict):
        value = first_of(fields["meta"], _TIME_KEYS)
    at = moment_of(value, clock)
    return None if at is None else Head(at, "", fields=fields)


def _of_journal(fields: dict[str, Any], clock: Clock, depth: int) -> Head | None:
    at = moment_of(fields["__REALTIME_TIMESTAMP"], clock)
    if at is None:
        return None
    message = fields.get("MESSAGE")
    if isinstance(message, list):  # it is not all text, so each byte is a number
        message = bytes(
            byte for byte in message if isinstance(byte, int) and 0 <= byte < 256
        ).decode(errors="replace")
    head = _within(str(message or ""), at, clock, depth)
    priority = str(fields.get("PRIORITY", ""))
    # What a service prints has 6, whatever it says: that alone is no level.
    return head._replace(priority=priority) if priority in "0123" else head


def _within(text: str, at: float, clock: Clock, depth: int) -> Head:
    """Return the head of a line that something wraps, written at `at`."""
    head = parse(text, clock, depth + 1) if depth < _DEPTH else None
    if head:
        return head._replace(at=at)
    plain = _ANSI.sub("", text)
    return Head(at, plain, fields=fields_of(plain), is_bare=True)


def _of_cut_json(line: str, clock: Clock) -> Head | None:
    """Return the head of a line that is huge or has lost its end, by its beginning."""
    head = line[:_MOST_CUT].replace('\\"', '"')  # type: ignore[cut]  # far beyond what is shown
    written = _CUT_TIME.search(head)
    at = moment_of(written[1] or written[2], clock) if written else None
    level, message = _CUT_LEVEL.search(head), _CUT_MESSAGE.search(head)
    if at is None or level is None:
        return None
    said = message[1] if message else head
    if message is None or message.end() == len(head):
        said = outside.opened(said)
    return Head(at, "", fields={"level": level[1] or level[2], "msg": said})


# ---- lines that something else has cut into parts ----------------------------------------------


def is_part(line: str) -> bool:
    """Return whether a container's line goes on in its next one."""
    if line.startswith('{"log":'):
        match = _DOCKER_END.search(line)
        end = match.start() if match else 0
        return end > 0 and not line.endswith("\\n", 0, end)
    cri = _CRI.match(line) if line.find(" std", 0, 48) >= 0 else None
    return bool(cri and cri[2] == "P")


def raw(parts: list[str], clock: Clock) -> Head | None:
    """Return the head of a line that stands in several parts, at the time of the first."""
    texts = [_written(part) for part in parts]
    first = parse(parts[0], clock)
    return _within("".join(texts), first.at, clock, 0) if first else parse(parts[-1], clock)


def _written(line: str) -> str:
    if cri := _CRI.match(line):
        return line[cri.end() :]
    fields = fields_of(line)
    return str((fields or {}).get("log", "")).rstrip("\r\n")
