"""The service's HTTP API."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from opsnb import guard
from opsnb.check import check
from opsnb.errors import BadAnswer, NotConfigured, ServiceError, TimedOut, Unreachable
from opsnb.guard import Permit
from opsnb.model import Finding, Row, Status, worst
from opsnb.redaction import safe_url
from opsnb.target import Target

SYSTEM = "api"
_MOST_BYTES = 4 * 1024 * 1024
_POLL_S = 0.2
_SAMPLING_S = 4.0  # a slow API gets fewer samples, not a longer check


@contextmanager
def client(target: Target) -> Iterator[httpx.Client]:
    """Yield an HTTP client for the target's API; httpx's errors come out as ServiceErrors.

    Neither proxies nor redirects are followed: what is measured is the API itself.
    """
    if not target.api.url:
        raise NotConfigured(SYSTEM, f"Target {target.name} names no api_url in opsnb.toml.")
    where = f"The API at {safe_url(target.api.url)}"
    try:
        with httpx.Client(
            base_url=target.api.url.partition("?")[0],
            timeout=target.time_limit_s,
            trust_env=False,
            # Reading the CA certificates takes longer than the request; plain HTTP needs none.
            verify=target.api.url.startswith("https:"),
        ) as http:
            yield http
    except httpx.TimeoutException as error:
        message = f"{where} did not answer within {target.time_limit_s:g} s."
        raise TimedOut(SYSTEM, message) from error
    except httpx.TransportError as error:
        reason = _reason(error)
        raise Unreachable(SYSTEM, f"{where} cannot be reached: {reason}.") from error
    except httpx.HTTPError as error:
        raise BadAnswer(SYSTEM, f"{where} did not answer properly: {error}.") from error


@check(probes=SYSTEM)
def health(target: Target) -> Finding:
    """API health"""
    with client(target) as http:
        clock = time.perf_counter()
        answer = _get(http, "/health")
        took_ms = (time.perf_counter() - clock) * 1000
    if answer.status_code != httpx.codes.OK:
        message = f"GET /health answered {answer.status_code} instead of 200: {_excerpt(answer)}"
        return Finding(status=Status.CRIT, message=message)
    return Finding(
        status=Status.OK,
        message=f"GET /health answered 200 in {took_ms:.0f} ms.",
        rows=_facts(answer),
    )


def wait_until_well(target: Target, seconds: float) -> str:
    """Wait until GET /health answers 200, and return what it said. Raises ServiceError."""
    ends = time.monotonic() + seconds
    while True:
        try:
            found = health(target)
        except ServiceError:
            if time.monotonic() > ends:
                raise
        else:
            if found.status is Status.OK:
                return found.message
            if time.monotonic() > ends:
                raise BadAnswer(SYSTEM, found.message)
        time.sleep(_POLL_S)


@check(needs=(SYSTEM,))
def latency(target: Target, samples: int = 10) -> Finding:
    """API response time"""
    times_ms = _sample(target, samples)
    median, p95 = percentile(times_ms, 50), percentile(times_ms, 95)
    by_median = Finding.measured(median, target.threshold("api_response_ms"), "")
    by_p95 = Finding.measured(p95, target.threshold("api_p95_ms"), "")
    # Either limit may be the one that is passed; the value shown is the one that decided.
    shown = max((by_median, by_p95), key=lambda finding: finding.status.severity)
    return shown.model_copy(
        update={
            "status": worst([by_median.status, by_p95.status]),
            "message": f"p50 {median:.0f} ms, p95 {p95:.0f} ms over {len(times_ms)} samples "
            f"of GET /health.",
            "rows": _samples(times_ms),
        }
    )


@check(needs=(SYSTEM,))
def p95(target: Target, samples: int = 20) -> Finding:
    """API response time, P95"""
    times_ms = _sample(target, samples)
    middle, high, highest = (percentile(times_ms, percent) for percent in (50, 95, 99))
    return Finding.measured(
        round(high, 1),
        target.threshold("api_p95_ms"),
        f"p50 {middle:.0f} ms, p95 {high:.0f} ms, p99 {highest:.0f} ms over {len(times_ms)} "
        "samples of GET /health.",
        rows=_samples(times_ms),
    )


@check(needs=(SYSTEM, "queues"))
def queue_stats(target: Target) -> Finding:
    """Queue stats of the API"""
    with client(target) as http:
        answer = _get(http, "/api/queue/stats")
    if answer.status_code != httpx.codes.OK:
        message = f"GET /api/queue/stats answered {answer.status_code}: {_excerpt(answer)}"
        return Finding(status=Status.CRIT, message=message)
    rows = _queues(answer)
    names = {str(row.get("name")) for row in rows}
    missing = [name for name in target.queues.names if name not in names]
    paused = [str(row.get("name")) for row in rows if row.get("paused")]
    if missing:
        status, message = Status.CRIT, f"The API does not report {', '.join(missing)}."
    elif paused:
        message = f"Paused: {', '.join(paused)}; jobs wait there until it is resumed."
        status = Status.WARN
    else:
        status, message = Status.OK, f"All {len(rows)} queues operational."
    return Finding(status=status, message=message, rows=rows)


def queue_names(target: Target) -> list[str]:
    """Return the queues that the API serves. Raises ServiceError."""
    with client(target) as http:
        answer = _get(http, "/api/queue/stats")
    _demand_success(answer)
    return [str(row.get("name")) for row in _queues(answer)]


def post(
    target: Target, path: str, permit: Permit, *, limit_s: float = 0, **body: Any
) -> dict[str, Any]:
    """Return what the API answers to POST `path` with the JSON `body`.

    It is given `limit_s` seconds where that is more than the target's time limit. Raises
    ServiceError unless it says that it was done.
    """
    guard.require(permit)
    with client(target) as http:
        limit = max(limit_s, target.time_limit_s)
        answer = http.post(
            path, json=body, timeout=httpx.Timeout(limit, connect=http.timeout.connect)
        )
    _demand_success(answer)
    answered = _json(answer)
    return answered if isinstance(answered, dict) else {"answer": answered}


def percentile(values: list[float], percent: float) -> float:
    """Return the value at or below which `percent` % of `values` lie, interpolated."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(percent) - 1]


def _get(http: httpx.Client, path: str) -> httpx.Response:
    """Return the answer to GET `path`, read whole within one time limit and one bound of size.

    httpx's own limit is for each read, so an answer that drips or never ends would outlast it.
    """
    limit_s = http.timeout.read or 0.0
    ends = time.monotonic() + limit_s
    body = bytearray()
    with http.stream("GET", path) as answer:
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise BadAnswer(SYSTEM, f"GET {path} answers more than {_MOST_BYTES:,} bytes.")
            if time.monotonic() > ends:
                raise TimedOut(SYSTEM, f"GET {path} was not answered whole in {limit_s:g} s.")
    return httpx.Response(
        answer.status_code, headers={}, content=bytes(body), request=answer.request
    )


def _sample(target: Target, samples: int) -> list[float]:
    """Return the response times of GET /health in ms, over one connection as a client keeps it."""
    times_ms: list[float] = []
    with client(target) as http:
        _get(http, "/health")  # the connection is made outside the measurement
        ends = time.monotonic() + _SAMPLING_S
        while len(times_ms) < samples and (not times_ms or time.monotonic() < ends):
            clock = time.perf_counter()
            _get(http, "/health")
            times_ms.append((time.perf_counter() - clock) * 1000)
    return times_ms


def _samples(times_ms: list[float]) -> list[Row]:
    return [{"sample": number, "ms": round(ms, 2)} for number, ms in enumerate(times_ms, 1)]


def _queues(answer: httpx.Response) -> list[Row]:
    """Return one row a queue from the body of /api/queue/stats.

    Services differ in how they wrap it: a list, `{"queues": [...]}`, or a table by name.
    """
    body = _json(answer)
    found = body.get("queues", body) if isinstance(body, dict) else body
    if isinstance(found, dict):
        found = [{"name": name, **row} for name, row in found.items() if isinstance(row, dict)]
    if (
        not found
        or not isinstance(found, list)
        or not all(isinstance(row, dict) and isinstance(row.get("name"), str) for row in found)
    ):
        raise BadAnswer(SYSTEM, "GET /api/queue/stats answered without a list of queues.")
    return found


def _facts(answer: httpx.Response) -> list[Row]:
    """Return what /health says of itself, one row a fact; its body is free to be anything."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return []
    return [{"fact": name, "value": _flat(value)} for name, value in _items(body)]


def _items(body: Any) -> list[tuple[str, Any]]:
    return list(body.items()) if isinstance(body, dict) else []


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    return str(value)


def _demand_success(answer: httpx.Response) -> None:
    if not answer.is_success:
        request = answer.request
        message = f"{request.method} {request.url.path} answered {answer.status_code}: "
        raise BadAnswer(SYSTEM, message + _excerpt(answer))


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError) as error:
        raise BadAnswer(SYSTEM, f"{answer.request.url.path} answered no JSON.") from error


def _excerpt(answer: httpx.Response) -> str:
    text = " ".join(answer.text.split())
    return (text[:157] + "..." if len(text) > 160 else text) or "(empty)"


def _reason(error: httpx.TransportError) -> str:
    """Return the operating system's words for `error`, without its number."""
    text = str(error) or type(error).__name__
    return text.partition("] ")[2] or text
