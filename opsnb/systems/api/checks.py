"""The service's HTTP API."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx

from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError
from opsnb.model import Finding, Row, Status, worst
from opsnb.systems.api.connecting import SYSTEM, client, is_verified, table
from opsnb.systems.api.responses import get
from opsnb.systems.api.settings import Api
from opsnb.systems.api.verdict import judge
from opsnb.systems.percentiles import percentile

_POLL_S = 0.2
_SAMPLING_S = 4.0  # a slow API gets fewer samples, not a longer check


@check()
def certificate(target: Target) -> Finding:
    """API certificate"""
    if is_verified(target):
        return Finding(status=Status.OK, message="It is verified.")
    return Finding(
        status=Status.WARN,
        message="It is not verified, so anyone in between can read and answer the requests.",
    )


@check(
    probes=SYSTEM,
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
    explained_by=("processes.up",),
)
def health(target: Target) -> Finding:
    """API health"""
    if not Api.of(target).health:
        return Finding(status=Status.SKIPPED, message=_no_health(target))
    with client(target) as http:
        clock = time.perf_counter()
        answer = get(http, Api.of(target).health)
        took_ms = (time.perf_counter() - clock) * 1000
    found = judge(answer, Api.of(target).health, table(target))
    message = found.message
    if found.status is Status.OK:
        message = f"{message.rstrip('.')} in {took_ms:.0f} ms."
    return Finding(
        status=found.status, message=message, rows=_facts(found.facts), blames=_blamed(found.blamed)
    )


def _no_health(target: Target) -> str:
    return f"{table(target)} has no health: the service's health is not asked for."


# The systems that a service may speak of by other names.
_SYSTEMS = {
    "redis": re.compile(r"(?i)redis|valkey|cache|queue|bull"),
    "database": re.compile(r"(?i)postgres|database|\bdb\b|\bpg\b|sql|prisma|drizzle"),
}


def _blamed(parts: tuple[str, ...]) -> list[str]:
    """Return the systems that the service blames; none when it blames anything else as well."""
    found = []
    for part in parts:
        system = next((name for name, words in _SYSTEMS.items() if words.search(part)), "")
        if not system:
            return []
        found.append(system)
    return found


def wait_until_well(target: Target, seconds: float) -> str:
    """Wait until the health check is OK, and return its message. Raises ServiceError.

    Without a health check, any answer of the API is enough.
    """
    ends = time.monotonic() + seconds
    while True:
        try:
            found = health(target) if Api.of(target).health else _any_answer(target)
        except ServiceError:
            if time.monotonic() > ends:
                raise
        else:
            if found.status is Status.OK:
                return found.message
            if time.monotonic() > ends:
                raise BadAnswer(SYSTEM, found.message)
        time.sleep(_POLL_S)


def _any_answer(target: Target) -> Finding:
    """Return that the API responds; any answer to GET / is enough."""
    with client(target) as http:
        code = get(http, "/").status_code
    return Finding(status=Status.OK, message=f"The API answers (GET / with {code}).")


@check(needs=(SYSTEM,))
def latency(target: Target, samples: int = 10) -> Finding:
    """API response time"""
    if not Api.of(target).health:
        return Finding(status=Status.SKIPPED, message=_no_health(target))
    times_ms = _sample(target, samples)
    median, p95 = percentile(times_ms, 50), percentile(times_ms, 95)
    by_median = Finding.measured(median, target.threshold("api_response_ms"), "")
    by_p95 = Finding.measured(p95, target.threshold("api_p95_ms"), "")
    # Either limit may be the one that is passed; the value shown is the one that decided.
    shown = max((by_median, by_p95), key=lambda finding: finding.status.severity)
    return shown.model_copy(
        update={
            "status": worst([by_median.status, by_p95.status]),
            "message": f"GET {Api.of(target).health}: p50 {median:.0f} ms, p95 {p95:.0f} ms "
            f"({len(times_ms)} samples).",
            "rows": _samples(times_ms),
        }
    )


@check(needs=(SYSTEM,))
def p95(target: Target, samples: int = 20) -> Finding:
    """API response time, P95"""
    if not Api.of(target).health:
        return Finding(status=Status.SKIPPED, message=_no_health(target))
    times_ms = _sample(target, samples)
    middle, high, highest = (percentile(times_ms, percent) for percent in (50, 95, 99))
    return Finding.measured(
        round(high, 1),
        target.threshold("api_p95_ms"),
        f"GET {Api.of(target).health}: p50 {middle:.0f} ms, p95 {high:.0f} ms, "
        f"p99 {highest:.0f} ms ({len(times_ms)} samples).",
        rows=_samples(times_ms),
    )


def _sample(target: Target, samples: int) -> list[float]:
    """Return the response times of the health check in ms, over one kept-alive connection.

    Raises BadAnswer when the service itself does not answer: its response time is not known.
    """
    times_ms: list[float] = []
    path = Api.of(target).health
    with client(target) as http:
        _demand_answer(get(http, path), target)  # the connection is made before the measurement
        ends = time.monotonic() + _SAMPLING_S
        while len(times_ms) < samples and (not times_ms or time.monotonic() < ends):
            clock = time.perf_counter()
            answer = get(http, path)
            times_ms.append((time.perf_counter() - clock) * 1000)
            _demand_answer(answer, target)
    return times_ms


def _demand_answer(answer: httpx.Response, target: Target) -> None:
    found = judge(answer, Api.of(target).health, table(target))
    if not found.is_answer:
        raise BadAnswer(SYSTEM, f"Not measured: {found.message}")


def _samples(times_ms: list[float]) -> list[Row]:
    return [{"sample": number, "ms": round(ms, 2)} for number, ms in enumerate(times_ms, 1)]


def _facts(body: dict[str, Any]) -> list[Row]:
    """Return the facts in the health check's body, one row each."""
    return [{"fact": name, "value": _flat(value)} for name, value in body.items()]


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    return str(value)
