"""The state of the service and its parts, by the body of a health check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opsnb.model import Status
from opsnb.systems.api.health_words import (
    LONGEST,
    cut,
    plain,
    shown,
    status_of_part,
    status_of_phrase,
    status_of_word,
)

_MOST_LINES = 50
_OVERALL = (
    *("status", "state", "health", "result", "ok", "healthy", "success", "up", "alive"),
    *("ready", "globalstatus", "overallstatus"),
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


@dataclass(frozen=True)
class Said:
    """What a body says."""

    status: Status
    words: str = ""
    """`reports degraded (redis down)`."""
    blamed: tuple[str, ...] = ()


def judge_text(text: str) -> Said | None:
    """Return the state in a body that is not JSON: a word, `database: FAILED`, `[-]etcd failed`."""
    if text.startswith(("<", "#")):
        tagged = re.search(r"(?i)<(?:status|state|health)>([^<]{1,60})</", text)
        return judge_body(tagged[1]) if tagged else None
    lines = text.splitlines()[:_MOST_LINES]
    if len(lines) == 1 and len(text) <= LONGEST:
        return judge_body(text)
    for line in lines:
        said = re.match(r"[\w .-]{1,60}:\s*(\w+)", line)
        if line.startswith("[-]") or (said and status_of_word(said[1]) is Status.CRIT):
            return Said(Status.CRIT, f"reports {cut(line)}")
    return None


def judge_body(body: Any) -> Said | None:
    """Return the overall state in a body; None when nothing in it is understood."""
    if isinstance(body, list):
        body = {"checks": body}
    if not isinstance(body, dict):
        status = status_of_phrase(body)
        is_well = status in (None, Status.OK)
        return None if is_well else Said(status or Status.OK, f"reports {shown(body)}".rstrip("."))
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
        what = shown(value) if not isinstance(value, bool) else f"{key} {shown(value)}"
        why = named or _reason(body)
        return Said(status, f"reports {what}" + (f" ({why})" if why else ""), blamed)
    if bad:
        # A service that knows of it and calls itself well all the same can do without.
        words = f"reports {shown(overall[1])}, though {named}" if overall else f"reports {named}"
        return Said(Status.WARN if overall else Status.CRIT, words, blamed)
    if doubtful:
        return Said(Status.WARN, f"reports {named}")
    if overall:
        return Said(Status.OK)
    word = next((value for key, value in body.items() if str(key).lower() in _WORDS), None)
    return Said(Status.OK, f"reports {shown(word)}") if isinstance(word, str) and word else None


_WORDS = ("status", "state", "health")


def _overall(body: dict[str, Any]) -> tuple[str, Any, Status] | None:
    """Return the key of the overall state, its value, and what it means."""
    keys = {plain(key): key for key in body if isinstance(key, str)}
    for known in _OVERALL:
        if known not in keys:
            continue
        value = body[keys[known]]
        if isinstance(value, dict):
            inner = _overall(value)
            if inner:
                return inner
        status = status_of_phrase(value)
        if status is not None:
            return known, value, status
    return None


@dataclass(frozen=True)
class _Part:
    """A part of the service, as the body reports it."""

    name: str
    said: str
    status: Status

    @property
    def words(self) -> str:
        return f"{self.name}{':' if ' ' in self.said else ''} {self.said}"


def _parts(body: dict[str, Any]) -> Iterator[_Part]:
    """Yield the parts in the body whose state is understood, up to a limit."""
    count = 0
    for key, value in body.items():
        name = plain(key)
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
    """Yield the errors that a body lists; most list none."""
    if isinstance(value, dict) and value:
        named = [(str(name), text) for name, text in value.items() if isinstance(text, str)]
        yield from (_Part(cut(name), cut(text), Status.CRIT) for name, text in named[:_SHOWN])
    elif isinstance(value, list) and value:
        yield _Part(key, cut(str(value[0])), Status.CRIT)
    elif isinstance(value, str):
        if plain(value) not in ("", "none", "null", "no", "noerror", "noerrors", "false", "ok"):
            yield _Part(key, cut(value), Status.CRIT)
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
    """Yield a part by its own state, else by its inner parts."""
    if deep <= 0:
        return
    if isinstance(value, list):  # the RFC draft has a list of measurements for each
        for item in value:
            yield from _one(name, item, deep - 1)
        return
    if isinstance(value, dict):
        overall = _overall(value)
        if overall:
            said = "" if isinstance(overall[1], bool) else shown(overall[1])
            yield _Part(cut(name), said or ("up" if overall[1] else "down"), overall[2])
            if overall[2] is Status.OK:
                return
        for key, inner in value.items():
            if plain(key) in _PARTS and isinstance(inner, dict | list):
                yield from _grouped(inner, deep - 1)
            elif isinstance(inner, dict) and not overall:
                yield from _one(str(key), inner, deep - 1)
        return
    status = status_of_part(name, value)
    if status is not None:
        said = shown(value) if isinstance(value, str) else ("up" if value else "down")
        yield _Part(cut(name), said, status)


def _reason(body: dict[str, Any]) -> str:
    """Return why, in the body's own words."""
    for key in _REASONS:
        value = body.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and value.strip():
            return cut(value).rstrip(".")
    return ""
