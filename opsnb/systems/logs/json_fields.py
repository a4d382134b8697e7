"""The level, message, error and cause in the fields of a JSON line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from opsnb.systems.logs.levels import (
    Verdict,
    is_word,
    joined,
    level_of,
    severe_field,
    severe_opentelemetry,
)

_MOST_JSON = 2**18
"""Characters of a line that are read as JSON; a longer one is read by its beginning."""
_LEVEL_KEYS = (
    *("level", "severity", "lvl", "levelname", "log.level", "level_name", "loglevel", "logLevel"),
    *("severity_text", "severityText", "SeverityText", "@l", "error_severity"),
)
_MESSAGE_KEYS = (
    *("msg", "message", "short_message", "MESSAGE", "@m", "@mt", "body", "event", "log", "text"),
)
_ERROR_KEYS = ("err", "error", "exception", "cause", "reason", "@x")
_STACK_KEYS = ("stack", "stack_trace", "stacktrace", "error.stack_trace", "full_message")


def first_of(fields: dict[str, Any], keys: Iterable[str]) -> Any:
    """Return the value of the first of `keys` that `fields` have, else None."""
    for key in keys:
        if key in fields:
            return fields[key]
    return None


def fields_of(text: str) -> dict[str, Any] | None:
    """Return the fields of a JSON line; None when it is something else, or huge."""
    if not text.startswith("{") or len(text) > _MOST_JSON:
        return None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def verdict_of(fields: dict[str, Any]) -> Verdict:
    """Return how bad a JSON line is, and its message."""
    message = next((text for key in _MESSAGE_KEYS if (text := _text(fields.get(key)))), "")
    said = joined(message.strip(), _cause(fields))
    severe = severe_field(_level(fields), is_syslog="short_message" in fields)
    if severe is None:
        severe = severe_opentelemetry(fields.get("severityNumber", fields.get("SeverityNumber")))
    if severe is not None:
        return Verdict(severe, said)
    found = level_of(message)
    if found.severe is None and any(_is_error(fields.get(key)) for key in ("err", "error", "@x")):
        return Verdict(True, said)
    return found


def _level(fields: dict[str, Any]) -> Any:
    """Return the level in the fields: a word before a number, which loggers count differently."""
    found = [fields[key] for key in _LEVEL_KEYS if key in fields]
    for holder, key in (("log", "level"), ("context", "logLevel")):  # Elastic's schema, roarr
        if isinstance(fields.get(holder), dict):
            found.append(fields[holder].get(key))
    if found and re.fullmatch(r"[0-7]", str(found[0])):
        found.append(fields.get("type"))  # consola, whose 3 is no error
    if not found and isinstance(fields.get("tags"), list):
        found += fields["tags"]  # hapi, Kibana
    return next((level for level in found if is_word(level)), found[0] if found else None)


def _is_error(value: Any) -> bool:
    """Return whether a field holds an error, not a word for none."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, str) and bool(value) and severe_word(value)


def severe_word(value: str) -> bool:
    """Return whether the text in the field of an error is one."""
    return value.strip().lower() not in ("none", "null", "false", "no", "0", "ok", "-", "undefined")


def _cause(fields: dict[str, Any]) -> str:
    """Return the message of the error in the fields, and its cause."""
    said = ""
    for key in _ERROR_KEYS:
        said = joined(said, _error_text(fields.get(key)))
    for key in ("error.message", "exception.message", "err.message"):
        said = joined(said, _text(fields.get(key)))
    return said


def _error_text(value: Any, depth: int = 0) -> str:
    """Return the messages of an error object: its own, its causes', those that it collects."""
    if isinstance(value, str):
        return value.strip().partition("\n")[0] if severe_word(value) else ""
    if not isinstance(value, dict) or depth > 4:
        return ""
    said = _text(value.get("message")) or _text(value.get("msg"))
    code = value.get("code")
    within = value.get("errors") or value.get("aggregateErrors")
    if isinstance(within, list):
        for each in within[:3]:
            said = joined(said, _error_text(each, depth + 1))
    for key in ("cause", "original", "parent", "error"):
        said = joined(said, _error_text(value.get(key), depth + 1))
    if not said:
        said = (_text(value.get("type")) or _text(value.get("name"))).removesuffix("Object")
        said = "" if said == "Error" else said
    if isinstance(code, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{2,40}", code) and code not in said:
        return f"{said} ({code})" if said else code
    return said


def stack_of(fields: dict[str, Any]) -> str:
    """Return the stack of the error in a JSON line, empty when it has none."""
    for holder in (fields, *(fields.get(key) for key in _ERROR_KEYS)):
        if isinstance(holder, dict):
            for key in _STACK_KEYS:
                value = holder.get(key)
                if isinstance(value, str) and value:
                    return value
                if isinstance(value, list):
                    return "\n".join(map(str, value))
    return ""


def _text(value: Any) -> str:
    """Return the message in a JSON field: text, or an error object's own message."""
    if isinstance(value, dict):
        value = value.get("message")
    return value if isinstance(value, str) else ""
