"""Requests in access logs: how long each took, and whether it failed.

Understood are the common and the combined format of web servers, the short lines of Node's
loggers (`GET /path 200 12.3 ms`), those of AWS' load balancers, and JSON lines such as those of
pino, nginx, Caddy, Traefik and the Elastic Common Schema.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured, TimedOut
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.logs.access_lines import METHOD, NO_REQUEST, Request, request_in
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.settings import Logs
from opsnb.systems.logs.stamps import Clock
from opsnb.systems.logs.window import STRANGE_SHARE, WindowReader
from opsnb.systems.percentiles import percentile

_SYSTEM = "logs"
_MOST_ROUTES = 10
_FAILED = 500  # from this status on it is the service's fault, not the caller's
_SHOWN = 120  # characters of a line that is not understood


@dataclass(frozen=True)
class Traffic:
    """The requests of the last minutes."""

    minutes: float
    requests: list[Request]
    notes: list[str]
    """What was not read."""

    @property
    def times_ms(self) -> list[float]:
        """The response times that the log has."""
        return [request.ms for request in self.requests if request.ms is not None]

    @property
    def failed(self) -> int:
        """How many failed with a server error."""
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
    paths = reader.files.paths(Logs.of(target).access)
    for path in paths:
        try:
            found += _requests_of(target, reader, path)
        except (BadAnswer, TimedOut) as error:
            unread.append(str(error))
    if len(unread) == len(paths):
        raise BadAnswer(_SYSTEM, " ".join(unread))
    for each in unread:
        evidence.partial(each.rstrip("."))
    return Traffic(minutes, found, reader.files.notes)


def _requests_of(target: Target, reader: WindowReader, path: str) -> list[Request]:
    """Return the requests of one log. Raises BadAnswer when it is in an unknown format."""
    requests, strange, count = _requests_in(reader.lines(path), reader.clock, reader.since)
    if strange and not requests:
        raise BadAnswer(_SYSTEM, _not_understood(target, path, strange))
    if count > STRANGE_SHARE * (count + len(requests)):
        evidence.partial(_not_understood(target, path, strange, count).rstrip("."))
    return requests


def _requests_in(
    lines: Iterable[str], clock: Clock, since: float
) -> tuple[list[Request], str, int]:
    """Return the requests since `since`, an unknown line, and how many such lines may be requests.

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
        elif head.fields is not None or not NO_REQUEST.match(head.rest):
            other = line
            if re.search(METHOD, line):
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
    message = f"{seen.failed:,} of {count:,} requests failed in the last {minutes:g} minutes."
    return Finding.measured(
        round(100 * seen.failed / count, 2) if count else 0.0,
        target.threshold("error_rate_percent"),
        " ".join([message, *seen.notes]),
        rows=_routes(seen),
    )


def _routes(seen: Traffic) -> list[Row]:
    """Return a row for each route, the busiest first."""
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
