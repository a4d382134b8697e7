"""The request in a line of an access log, its status, and how long it took."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from opsnb.redaction.outside import pattern
from opsnb.systems.logs.lines import Head

METHOD = r"\b(?P<method>GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\b"
_REQUEST = re.compile(
    rf"{METHOD} (?P<path>[/*]\S*?)"
    r"(?: HTTP/[\d.]+)?\"?[\s:,]+(?P<status>[1-5]\d\d)\b(?P<rest>.*)"
)
_TOOK = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) ?(ns|us|µs|ms|s)\b")
_MS_EACH = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1000.0}
_BALANCER = re.compile(
    r" \S+ \S+:\d+ (?:\S+:\d+|-) (-?[\d.]+) (-?[\d.]+) (-?[\d.]+) (?P<status>[1-5]\d\d) \S+"
    rf" \d+ \d+ \"{METHOD} (?P<path>\S+)"
)
_OF_STRING = re.compile(rf"{METHOD} (?P<path>\S+)")
# By its name wherever it stands: the time of an upstream (urt) may follow it.
_NAMED_SECONDS = re.compile(r"(?<!\w)(?:request_time|rt)=\"?(\d+\.\d+)")
_LAST_SECONDS = re.compile(r"\s(\d+\.\d{3})\"?\s*$")
# What a web server writes of a caller that spoke no HTTP, or asked by a rare method.
NO_REQUEST = re.compile(r"\"(?:[^\"\\]|\\.)*\" (?:[1-5]\d\d|000|-)(?!\d)")
_METHODS = ("method", "request_method", "http_method", "RequestMethod", "http.request.method")
_PATHS = (
    *("url", "uri", "path", "request_uri", "originalUrl", "RequestPath"),
    *("url.path", "url.original"),
)
_STATUSES = (
    *("statusCode", "status", "status_code", "response_code", "DownstreamStatus"),
    *("http.response.status_code", "code"),
)
# Names of a length of time, and how many ms one of it is.
_LENGTHS = {
    **dict.fromkeys(("responseTime", "duration_ms", "durationMs", "latency_ms", "elapsed_ms"), 1.0),
    **dict.fromkeys(("responseTimeMs", "response_time_ms", "took_ms", "latencyMs", "ms"), 1.0),
    **dict.fromkeys(("request_time", "duration_s", "latency_s", "request_duration"), 1000.0),
    **dict.fromkeys(("Duration", "event.duration"), 1e-6),
}


class Request(NamedTuple):
    """One request that was answered."""

    method: str
    path: str
    status: int
    ms: float | None
    """How long it took; None where the log does not say."""

    @property
    def route(self) -> str:
        """Its method and path, without what differs from call to call."""
        return f"{self.method} {pattern(self.path.partition('?')[0])}"


def request_in(head: Head) -> Request | None:
    """Return the request in a line, or None."""
    if head.fields is not None:
        return _of_fields(head.fields)
    if balancer := _BALANCER.match(head.rest):
        spans = [float(balancer[group]) for group in (1, 2, 3)]
        ms = 1000 * sum(spans) if min(spans) >= 0 else None  # -1: it came to no answer
        path = urlsplit(balancer["path"])
        return Request(balancer["method"], path.path or "/", int(balancer["status"]), ms)
    match = _REQUEST.search(head.rest)
    if match is None:
        return None
    return Request(match["method"], match["path"], int(match["status"]), _ms(match["rest"]))


def _ms(rest: str) -> float | None:
    """Return how long a request took, by the text after its status."""
    if named := _NAMED_SECONDS.search(rest):
        return 1000 * float(named[1])
    if took := _TOOK.search(_QUOTED.sub('""', rest)):
        return float(took[1]) * _MS_EACH[took[2]]
    last = _LAST_SECONDS.search(rest)
    return 1000 * float(last[1]) if last else None


def _of_fields(fields: Mapping[str, Any]) -> Request | None:
    holders = [fields, *(fields[key] for key in _HOLDERS if isinstance(fields.get(key), dict))]
    for holder in list(holders):  # the Elastic Common Schema nests them once more
        holders += [holder[key] for key in _HOLDERS if isinstance(holder.get(key), dict)]
    method, path = _any(holders, _METHODS), _any(holders, _PATHS)
    if isinstance(path, dict):
        path = path.get("path") or path.get("original")
    asked = next((each for each in (fields.get("request"), path) if isinstance(each, str)), "")
    if (method is None or path is None) and (match := _OF_STRING.match(asked)):
        method, path = match["method"], match["path"]
    status = _any([holder for holder in holders if isinstance(holder, dict)], _STATUSES)
    try:
        number = int(status)
    except (TypeError, ValueError, OverflowError):
        return None
    if method is None or path is None or not 100 <= number < 600:
        return None
    return Request(str(method), str(path), number, _ms_of_fields(fields))


_HOLDERS = ("req", "res", "request", "response", "http", "httpRequest", "url", "meta", "event")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"")


def _any(holders: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> Any:
    for holder in holders:
        for key in keys:
            if holder.get(key) not in (None, ""):
                return holder[key]
    return None


def _ms_of_fields(fields: Mapping[str, Any]) -> float | None:
    """Return how long a request took by its JSON line; None when its unit is not known."""
    for key, factor in _LENGTHS.items():
        if key in fields:
            return _length(fields[key], factor)
    event = fields.get("event")
    if isinstance(event, dict) and "duration" in event:
        return _length(event["duration"], 1e-6)
    for key in ("duration", "latency", "response_time", "elapsed", "took"):
        value = fields.get(key)
        if isinstance(value, str) and (took := _TOOK.fullmatch(value)):
            return float(took[1]) * _MS_EACH[took[2]]
        if key == "duration" and str(fields.get("logger", "")).startswith("http.log"):
            return _length(value, 1000)  # Caddy
    return None


def _length(value: Any, factor: float) -> float | None:
    """Return a length of time in ms; None when the log says none, such as "fast", "-" or NaN."""
    try:
        ms = factor * float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return ms if math.isfinite(ms) and ms >= 0 else None
