"""Requests as access logs have them: how long each took, and whether it was answered.

Understood are the common and the combined format of web servers, the short lines of Node's
loggers (`GET /path 200 12.3 ms`), those of AWS' load balancers, and JSON lines such as those of
pino, nginx, Caddy, Traefik and the Elastic Common Schema.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured, TimedOut
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.redaction.outside import pattern
from opsnb.systems.api import percentile
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.logs.files import WindowReader
from opsnb.systems.logs.lines import Clock, Head, parse
from opsnb.systems.logs.settings import Logs

_SYSTEM = "logs"
_MOST_ROUTES = 10
_FAILED = 500  # from this status on it is the service's fault, not the caller's
_SHOWN = 120  # characters of a line that is not understood
_METHOD = r"\b(?P<method>GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\b"
_REQUEST = re.compile(
    rf"{_METHOD} (?P<path>[/*]\S*?)"
    r"(?: HTTP/[\d.]+)?\"?[\s:,]+(?P<status>[1-5]\d\d)\b(?P<rest>.*)"
)
_TOOK = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) ?(ns|us|µs|ms|s)\b")
_MS_EACH = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1000.0}
_BALANCER = re.compile(
    r" \S+ \S+:\d+ (?:\S+:\d+|-) (-?[\d.]+) (-?[\d.]+) (-?[\d.]+) (?P<status>[1-5]\d\d) \S+"
    rf" \d+ \d+ \"{_METHOD} (?P<path>\S+)"
)
_OF_STRING = re.compile(rf"{_METHOD} (?P<path>\S+)")
# By its name wherever it stands: the time of an upstream (urt) may follow it.
_NAMED_SECONDS = re.compile(r"(?<!\w)(?:request_time|rt)=\"?(\d+\.\d+)")
_LAST_SECONDS = re.compile(r"\s(\d+\.\d{3})\"?\s*$")
# What a web server writes of a caller that spoke no HTTP, or asked by a rare method.
_NO_REQUEST = re.compile(r"\"(?:[^\"\\]|\\.)*\" (?:[1-5]\d\d|000|-)(?!\d)")
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
_MIXED_SHARE = 0.2  # of the lines that name a method, from which on too many are not understood


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


@dataclass(frozen=True)
class Traffic:
    """The requests of the last minutes."""

    minutes: float
    requests: list[Request]
    notes: list[str]
    """What was not read."""

    @property
    def times_ms(self) -> list[float]:
        """How long those took of which it is known."""
        return [request.ms for request in self.requests if request.ms is not None]

    @property
    def failed(self) -> int:
        """How many the service did not manage to answer."""
        return sum(request.status >= _FAILED for request in self.requests)


def traffic(target: Target, minutes: float) -> Traffic:
    """Return the requests of the last `minutes`. Raises NotConfigured, BadAnswer."""
    if not Logs.of(target).access:
        raise NotConfigured(
            _SYSTEM,
            f"Target {target.name} names no access_logs in opsnb.toml, so real requests are not "
            "known.",
        )
    reader = WindowReader.back(host_of(target, _SYSTEM), 60 * minutes)
    found: list[Request] = []
    unread: list[str] = []
    paths = reader.paths(Logs.of(target).access)
    for path in paths:
        try:
            found += _requests_of(target, reader, path)
        except (BadAnswer, TimedOut) as error:
            unread.append(str(error))
    if len(unread) == len(paths):
        raise BadAnswer(_SYSTEM, " ".join(unread))
    for each in unread:
        evidence.partial(each.rstrip("."))
    return Traffic(minutes, found, reader.notes)


def _requests_of(target: Target, reader: WindowReader, path: str) -> list[Request]:
    """Return the requests of one log. Raises BadAnswer when it is in an unknown format."""
    requests, strange, count = _requests_in(reader.lines(path), reader.clock, reader.since)
    if strange and not requests:
        raise BadAnswer(_SYSTEM, _not_understood(target, path, strange))
    if count > _MIXED_SHARE * (count + len(requests)):
        evidence.partial(_not_understood(target, path, strange, count).rstrip("."))
    return requests


def _requests_in(
    lines: Iterable[str], clock: Clock, since: float
) -> tuple[list[Request], str, int]:
    """Return the requests not older than `since`, a line that hides some, and how many name one.

    A service may write other lines between its requests, so these hide none as long as it was
    seen how it writes a request, and they name no method.
    """
    found: list[Request] = []
    is_known = False
    other = asking = ""
    count = 0
    for line in lines:
        head = parse(line, clock)
        if head is None or (head.at < since and is_known):
            continue
        request = request_in(head)
        is_known = is_known or request is not None
        if head.at < since:
            continue
        if request:
            found.append(request)
        elif head.fields is not None or not _NO_REQUEST.match(head.rest):
            other = line
            if re.search(_METHOD, line):
                asking, count = line, count + 1
    return found, asking or ("" if is_known else other), count


def _not_understood(target: Target, path: str, line: str, count: int = 0) -> str:
    shown = outside.shortened(line.strip(), _SHOWN, "…")
    lines = f"{count:,} lines of" if count else "No line of"
    is_one = "are requests in a format that is not" if count else "is a request in a format that is"
    return (
        f"{lines} {path} on {host_of(target, _SYSTEM).name} {is_one} "
        f"understood, such as this one: {shown} - let it be written in the common or combined "
        "format, as `GET /path 200 12.3 ms` behind a time, or as JSON with method, url or uri, "
        "and status."
    )


def request_in(head: Head) -> Request | None:
    """Return the request that a line tells of, or None."""
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
    """Return how long a request took by what its line says behind the status."""
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


@check(needs=(HOST,))
def requests(target: Target, minutes: float = 15) -> Finding:
    """Response time of real requests

    Of those in the access log of the last `minutes`. Raises NotConfigured, BadAnswer.
    """
    seen = traffic(target, minutes)
    times = seen.times_ms
    rows = _routes(seen)
    if not times:
        what = "no request" if not seen.requests else "no time of a request"
        message = f"The access log of the last {minutes:g} minutes has {what}."
        return Finding(status=Status.OK, message=" ".join([message, *seen.notes]), rows=rows)
    p50, p95, p99 = (percentile(times, percent) for percent in (50, 95, 99))
    message = (
        f"Requests take p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms "
        f"({len(times):,} in the last {minutes:g} minutes)."
    )
    threshold = target.threshold("api_p95_ms")
    return Finding.measured(round(p95, 1), threshold, " ".join([message, *seen.notes]), rows=rows)


@check(needs=(HOST,))
def error_rate(target: Target, minutes: float = 15) -> Finding:
    """Error rate

    The share of requests in the access log that were answered with 500 and above. Raises
    NotConfigured, BadAnswer.
    """
    seen = traffic(target, minutes)
    count = len(seen.requests)
    message = f"Failed requests: {seen.failed:,} of {count:,} in the last {minutes:g} minutes."
    return Finding.measured(
        round(100 * seen.failed / count, 2) if count else 0.0,
        target.threshold("error_rate_percent"),
        " ".join([message, *seen.notes]),
        rows=_routes(seen),
    )


def _routes(seen: Traffic) -> list[Row]:
    """Return a row for each route, the one asked most on top."""
    routes: dict[str, list[Request]] = defaultdict(list)
    for request in seen.requests:
        routes[request.route].append(request)
    ordered = sorted(routes.items(), key=lambda item: -len(item[1]))[:_MOST_ROUTES]
    return [_route_row(route, requests) for route, requests in ordered]


def _route_row(route: str, found: list[Request]) -> Row:
    times = [request.ms for request in found if request.ms is not None]
    shares = {
        f"p{percent}_ms": round(percentile(times, percent), 1) if times else None
        for percent in (50, 95, 99)
    }
    failed = sum(request.status >= _FAILED for request in found)
    percent = round(100 * failed / len(found), 1)
    return {"route": route, "requests": len(found), **shares, "failed_percent": percent}
