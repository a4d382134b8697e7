"""What an answer to the health check means: its status code and its body, judged in one place.

Services differ: plain text, `{"status": "ok"}`, Spring's components, Terminus' details, the RFC
draft's `application/health+json`. A word that is not known decides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

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
_MOST_LINES = 50
# Names of settings and modes: that one of them is off says nothing of the service's health.
_SETTING = re.compile(
    r"(?i)maintenance|read_?only|debug|verbose|enabled|disabled|tls|ssl|sealed|standby|paused|test"
    r"|primary|leader|master|deprecated|degraded|error|fail|down|locked|draining|stopp|required"
)
_OVERALL = (
    "status",
    "state",
    "health",
    "result",
    "ok",
    "healthy",
    "success",
    "up",
    "alive",
    "ready",
    "globalstatus",
    "overallstatus",
)
_PARTS = (
    *("checks", "details", "components", "dependencies", "services", "subsystems", "entries"),
    *("error", "info", "results", "indicators", "checkresults", "healthchecks"),
)
_ERRORS = ("error", "errors", "failures")
_MAINTENANCE = ("maintenance", "maintenancemode")
_REASONS = ("output", "message", "error", "reason", "description", "detail", "notes", "title")
_DEEPEST = 4
_MOST_PARTS = 200
_SHOWN = 6
_LONGEST = 120


@dataclass(frozen=True)
class Verdict:
    """What the answer means."""

    status: Status
    message: str
    """One sentence."""
    is_answer: bool = False
    """Whether the service itself answered, so that the time it took says something."""
    blamed: tuple[str, ...] = ()
    """The parts that the service names as not well."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the service says of itself."""


def judge(answer: httpx.Response, path: str, table: str) -> Verdict:
    """Return what the answer to GET `path` means; `table` names the API's table in opsnb.toml."""
    code = answer.status_code
    head = f"GET {path} answered {code}"
    if answer.is_success:
        return _cached(answer, head, table) or _body(answer, path, table)
    if 300 <= code < 400:
        where = answer.headers.get("location")
        if not where:
            return Verdict(Status.CRIT, f"{head} instead of 200.")
        asked, leads = answer.request.url, answer.request.url.join(where)
        fix = "set api_url to where it leads"
        if str(leads) in (f"{asked}/", str(asked).rstrip("/")):
            slashed = path.rstrip("/") + "/" * str(leads).endswith("/")
            fix = f'set health = "{slashed}" in {table}'
        return Verdict(Status.CRIT, f"{head}: it redirects to {leads}; {fix}.")
    if code in (401, 403, 407):
        fix = f'it asks for a login; set headers = {{ Authorization = "..." }} in {table}'
        return Verdict(Status.UNKNOWN, f"{head}: {fix}.")
    if code in (404, 405, 410):
        fix = f"the API has no such path; set health in {table}, or correct api_url"
        return Verdict(Status.UNKNOWN, f"{head}: {fix}.")
    return _failure(answer, head)


def _cached(answer: httpx.Response, head: str, table: str) -> Verdict | None:
    """Return that a cache has answered in place of the service, where it says so."""
    age = answer.headers.get("age", "").strip()
    if not age.isdecimal() or not int(age):
        return None
    message = (
        f"{head} out of a cache, {int(age):,} s old, which says nothing of the service now: "
        f"exempt the health check from caching, or set api_url of {table} past the cache."
    )
    return Verdict(Status.UNKNOWN, message)


def _failure(answer: httpx.Response, head: str) -> Verdict:
    """Judge a code of failure, and what the service says with it."""
    retry = answer.headers.get("retry-after", "")
    again = f" It asks to try again after {retry} s." if retry.isdecimal() else ""
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Verdict(Status.UNKNOWN, f"{head}: it is asked too often.{again}")
    body = _json(answer)
    said = _judged(body) if isinstance(body, dict) else None
    message = f"{head} instead of 200: {excerpt(answer.text)}"
    if said and said.status is not Status.OK:
        message = f"{head}: it {said.words}."
    status = Status.CRIT if answer.is_server_error else Status.UNKNOWN
    facts = body if isinstance(body, dict) else {}
    return Verdict(status, message + again, blamed=said.blamed if said else (), facts=facts)


def excerpt(text: str, most: int = 160) -> str:
    """Return the beginning of a text on one line."""
    return outside.one_line(text, most) or "(empty)"


def _body(answer: httpx.Response, path: str, table: str) -> Verdict:
    """Judge a body that came with a code of success."""
    code, text = answer.status_code, answer.text.strip()
    well = Verdict(Status.OK, f"GET {path} answered {code}.", is_answer=True)
    if not text:
        return well
    if _is_page(answer, text):
        message = (
            f"GET {path} answered {code} with a web page, such as a login, which says nothing of "
            f"the service's health: set health in {table} to its health check."
        )
        return Verdict(Status.UNKNOWN, message)
    body = _json(answer)
    said = _of_lines(text) if body is _NO_JSON else _judged(body)
    facts = body if isinstance(body, dict) else {}
    if said is None or said.status is Status.OK:
        message = well.message
        if said and said.words:
            message = f"GET {path} answered {code} and {said.words}."
        return Verdict(well.status, message, is_answer=True, facts=facts)
    message = f"GET {path} answers, but {said.words}."
    return Verdict(said.status, message, is_answer=True, blamed=said.blamed, facts=facts)


def _is_page(answer: httpx.Response, text: str) -> bool:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "text/html" or bool(re.match(r"(?i)<!doctype html", text))


_NO_JSON = object()


def _json(answer: httpx.Response) -> Any:
    try:
        return json.loads(answer.content.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return _NO_JSON


@dataclass(frozen=True)
class _Said:
    """What a body says."""

    status: Status
    words: str = ""
    """`says degraded (redis down)`."""
    blamed: tuple[str, ...] = ()


def _of_lines(text: str) -> _Said | None:
    """Return what a text says that is no JSON: a word, `database: FAILED`, `[-]etcd failed`."""
    if text.startswith(("<", "#")):
        tagged = re.search(r"(?i)<(?:status|state|health)>([^<]{1,60})</", text)
        return _judged(tagged[1]) if tagged else None
    lines = text.splitlines()[:_MOST_LINES]
    if len(lines) == 1 and len(text) <= _LONGEST:
        return _judged(text)
    for line in lines:
        said = re.match(r"[\w .-]{1,60}:\s*(\w+)", line)
        if line.startswith("[-]") or (said and _of_word(said[1]) is Status.CRIT):
            return _Said(Status.CRIT, f"says {_cut(line)}")
    return None


def _judged(body: Any) -> _Said | None:
    """Return what a body says of the whole; None when it says nothing that is understood."""
    if isinstance(body, list):
        body = {"checks": body}
    if not isinstance(body, dict):
        status = _of_phrase(body)
        is_well = status in (None, Status.OK)
        return None if is_well else _Said(status or Status.OK, f"says {_shown(body)}".rstrip("."))
    parts = list(_parts(body))
    bad = [part for part in parts if part.status is Status.CRIT]
    doubtful = [part for part in parts if part.status is Status.WARN]
    said = list(dict.fromkeys(part.words for part in bad or doubtful))
    more = len(said) - _SHOWN
    named = ", ".join(said[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    blamed = tuple(dict.fromkeys(part.name for part in bad))
    overall = _overall(body)
    if overall and overall[2] is not Status.OK:
        key, value, status = overall
        what = _shown(value) if not isinstance(value, bool) else f"{key} {_shown(value)}"
        why = named or _reason(body)
        return _Said(status, f"says {what}" + (f" ({why})" if why else ""), blamed)
    if bad:
        # A service that knows of it and calls itself well all the same can do without.
        words = f"says {_shown(overall[1])}, though {named}" if overall else f"says {named}"
        return _Said(Status.WARN if overall else Status.CRIT, words, blamed)
    if doubtful:
        return _Said(Status.WARN, f"says {named}")
    if overall:
        return _Said(Status.OK)
    word = next((value for key, value in body.items() if str(key).lower() in _WORDS), None)
    return _Said(Status.OK, f"says {_shown(word)}") if isinstance(word, str) and word else None


_WORDS = ("status", "state", "health")


def _plain(key: Any) -> str:
    """Return a key as it is known: `ok?`, `check_results` and `checkResults` are spellings."""
    return re.sub(r"[^a-z0-9]", "", str(key).lower())


def _overall(body: dict[str, Any]) -> tuple[str, Any, Status] | None:
    """Return the key that tells of the whole, its value, and what it means."""
    keys = {_plain(key): key for key in body if isinstance(key, str)}
    for known in _OVERALL:
        if known not in keys:
            continue
        value = body[keys[known]]
        if isinstance(value, dict):
            inner = _overall(value)
            if inner:
                return inner
        status = _of_phrase(value)
        if status is not None:
            return known, value, status
    return None


def _of_phrase(value: Any) -> Status | None:
    """Return what a value means that tells of a whole, in a word or a few: `REDIS_DOWN`."""
    status = _of_word(value)
    if status is not None or not isinstance(value, str):
        return status
    if _ERROR.search(value):
        return Status.CRIT
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", value).lower())
    if len(words) > _LONGEST_PHRASE:
        return None
    said = {word: _of_word(word) for word in words if word not in ("true", "false", "red")}
    found = set(said.values())
    if "not" in words:
        return Status.CRIT if Status.OK in found and Status.CRIT not in found else None
    if Status.CRIT in found:
        return None if any(word in words for word in _NEGATIONS) else Status.CRIT
    return next((status for status in (Status.WARN, Status.OK) if status in found), None)


def _of_word(value: Any) -> Status | None:
    """Return what one value means; None when it is not known."""
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


@dataclass(frozen=True)
class _Part:
    """A part of the service, as the body tells of it."""

    name: str
    said: str
    status: Status

    @property
    def words(self) -> str:
        return f"{self.name}{':' if ' ' in self.said else ''} {self.said}"


def _parts(body: dict[str, Any]) -> Iterator[_Part]:
    """Yield the parts that the body tells of and whose state is understood, at most so many."""
    count = 0
    for key, value in body.items():
        name = _plain(key)
        is_group = name in _PARTS and isinstance(value, dict | list)
        if is_group and (found := list(_grouped(value, _DEEPEST))):
            pass
        elif name in _ERRORS:
            found = list(_errors(str(key), value))
        elif name in _MAINTENANCE and value is True:
            found = [_Part(str(key), "on", Status.WARN)]
        elif name not in (*_OVERALL, *_REASONS) and isinstance(value, str | dict):
            found = list(_one(str(key), value, _DEEPEST))
        else:
            continue
        for part in found:
            yield part
            count += 1
            if count >= _MOST_PARTS:
                return


def _errors(key: str, value: Any) -> Iterator[_Part]:
    """Yield what a body lists as errors; most say that there are none."""
    if isinstance(value, dict) and value:
        named = [(str(name), text) for name, text in value.items() if isinstance(text, str)]
        yield from (_Part(_cut(name), _cut(text), Status.CRIT) for name, text in named[:_SHOWN])
    elif isinstance(value, list) and value:
        yield _Part(key, _cut(str(value[0])), Status.CRIT)
    elif isinstance(value, str):
        if _plain(value) not in ("", "none", "null", "no", "noerror", "noerrors", "false", "ok"):
            yield _Part(key, _cut(value), Status.CRIT)
    elif value is True:
        yield _Part(key, "true", Status.CRIT)


def _grouped(group: Any, deep: int) -> Iterator[_Part]:
    """Yield the parts in a group, by name or in a list."""
    if isinstance(group, list):
        for item in group:
            if isinstance(item, dict):
                name = next((item[key] for key in ("name", "id", "key") if key in item), "")
                yield from _one(str(name or "a part"), item, deep)
    else:
        for name, value in group.items():
            yield from _one(str(name), value, deep)


def _one(name: str, value: Any, deep: int) -> Iterator[_Part]:
    """Yield a part: what it says of itself, else those that it consists of."""
    if deep <= 0:
        return
    if isinstance(value, list):  # the RFC draft has a list of measurements for each
        for item in value:
            yield from _one(name, item, deep - 1)
        return
    if isinstance(value, dict):
        overall = _overall(value)
        if overall:
            said = "" if isinstance(overall[1], bool) else _shown(overall[1])
            yield _Part(_cut(name), said or ("up" if overall[1] else "down"), overall[2])
            if overall[2] is Status.OK:
                return
        for key, inner in value.items():
            if _plain(key) in _PARTS and isinstance(inner, dict | list):
                yield from _grouped(inner, deep - 1)
            elif isinstance(inner, dict) and not overall:
                yield from _one(str(key), inner, deep - 1)
        return
    status = _of_part(name, value)
    if status is not None:
        said = _shown(value) if isinstance(value, str) else ("up" if value else "down")
        yield _Part(_cut(name), said, status)


def _of_part(name: str, value: Any) -> Status | None:
    """Return what a single value says of a part: `down`, `unavailable: no route`, False."""
    if isinstance(value, bool) or _plain(value) in ("true", "false"):
        return None if _SETTING.search(name) else _of_word(value)
    if not isinstance(value, str):
        return None
    status = _of_word(value)
    if status is None and _ERROR.search(value):
        return Status.CRIT
    head, colon, _ = value.partition(":")
    return _of_word(head) if status is None and colon and head.isalpha() else status


def _reason(body: dict[str, Any]) -> str:
    """Return why, in the body's own words."""
    for key in _REASONS:
        value = body.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and value.strip():
            return _cut(value).rstrip(".")
    return ""


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _cut(str(value))


def _cut(text: str) -> str:
    return excerpt(text, _LONGEST)
