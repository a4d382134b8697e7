"""The status that a word or a phrase in a health check stands for."""

from __future__ import annotations

import re
from typing import Any

from opsnb.model import Status
from opsnb.redaction import outside


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GOOD = _words(
    """
    ok okay up pass passed passing good healthy green success successful alive live
    running ready available operational online connected normal nominal true
    serving active working functional reachable responsive stable started pong
    """
)
_DOUBTFUL = _words(
    """
    warn warning yellow partial partially impaired maintenance
    starting initializing initialising loading stopping draining shutting_down
    """
)
_BAD = _words(
    """
    degraded fail failed failing failure down dead error errored unhealthy red critical
    crit offline unavailable outage out_of_service broken disconnected not_ok not_ready
    not_healthy unreachable timeout timed_out ko false
    crashed fatal stopped aborted refused unresponsive inaccessible exhausted
    """
)
_NOT_KNOWN = _words("unknown undefined indeterminate")
# What an operating system or a driver says of what cannot be reached.
_ERROR = re.compile(
    r"(?i)connection (?:was )?(?:refused|reset|closed|failed|timed out)|timed out|no such host"
    r"|(?:could not|cannot|can't|unable to|failed to) (?:connect|reach)"
    r"|\b(?:ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH)\b"
)
_NEGATIONS = ("no", "0", "zero", "without", "never")
_LONGEST_PHRASE = 8
# Names of settings and modes: that one of them is off says nothing of the service's health.
_SETTING = re.compile(
    r"(?i)maintenance|read_?only|debug|verbose|enabled|disabled|tls|ssl|sealed|standby|paused|test"
    r"|primary|leader|master|deprecated|degraded|error|fail|down|locked|draining|stopp|required"
)
LONGEST = 120


def excerpt(text: str, most: int = 160) -> str:
    """Return the beginning of a text on one line."""
    return outside.one_line(text, most) or "(empty)"


def plain(key: Any) -> str:
    """Return a key in one spelling: `ok?` is `ok`, `checkResults` and `check_results` the same."""
    return re.sub(r"[^a-z0-9]", "", str(key).lower())


def status_of_phrase(value: Any) -> Status | None:
    """Return what an overall state means, in one word or a few: `REDIS_DOWN`."""
    status = status_of_word(value)
    if status is not None or not isinstance(value, str):
        return status
    if _ERROR.search(value):
        return Status.CRIT
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", value).lower())
    if len(words) > _LONGEST_PHRASE:
        return None
    said = {word: status_of_word(word) for word in words if word not in ("true", "false", "red")}
    found = set(said.values())
    if "not" in words:
        return Status.CRIT if Status.OK in found and Status.CRIT not in found else None
    if Status.CRIT in found:
        return None if any(word in words for word in _NEGATIONS) else Status.CRIT
    return next((status for status in (Status.WARN, Status.OK) if status in found), None)


def status_of_word(value: Any) -> Status | None:
    """Return the status of one value; None when it is not known."""
    if isinstance(value, bool):
        return Status.OK if value else Status.CRIT
    if isinstance(value, int):
        # Some repeat HTTP's code; any other number may mean anything.
        return {2: Status.OK, 5: Status.CRIT}.get(value // 100) if value >= 200 else None
    if not isinstance(value, str):
        return None
    word = re.sub(r"[\s-]+", "_", value.strip().strip(".!").lower())
    known = (_GOOD, Status.OK), (_DOUBTFUL, Status.WARN), (_BAD, Status.CRIT)
    found = next((status for words, status in known if word in words), None)
    return Status.UNKNOWN if word in _NOT_KNOWN else found


def status_of_part(name: str, value: Any) -> Status | None:
    """Return the status of a part by a single value: `down`, `unavailable: no route`, False."""
    if isinstance(value, bool) or plain(value) in ("true", "false"):
        return None if _SETTING.search(name) else status_of_word(value)
    if not isinstance(value, str):
        return None
    status = status_of_word(value)
    if status is None and _ERROR.search(value):
        return Status.CRIT
    head, colon, _ = value.partition(":")
    return status_of_word(head) if status is None and colon and head.isalpha() else status


def shown(value: Any) -> str:
    """Return a value as a message quotes it."""
    return str(value).lower() if isinstance(value, bool) else cut(str(value))


def cut(text: str) -> str:
    """Return the beginning of a name or a value on one line."""
    return excerpt(text, LONGEST)
