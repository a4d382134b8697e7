"""The service's HTTP API."""

from __future__ import annotations

import functools
import json
import os
import re
import socket
import ssl
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi
import httpx

from opsnb.actions.action import Permit, require
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import (
    BadAnswer,
    Misconfigured,
    NotConfigured,
    ServiceError,
    TimedOut,
    Unreachable,
)
from opsnb.model import Finding, Remedy, Row, Status, worst
from opsnb.redaction import outside, safe_url
from opsnb.systems import certificates
from opsnb.systems.api.settings import Api
from opsnb.systems.api.verdict import excerpt, judge
from opsnb.systems.queues.settings import Queues

SYSTEM = "api"
_MOST_BYTES = 4 * 1024 * 1024
_POLL_S = 0.2
_SAMPLING_S = 4.0  # a slow API gets fewer samples, not a longer check


@contextmanager
def client(target: Target) -> Iterator[httpx.Client]:
    """Yield an HTTP client for the target's API; httpx's errors come out as ServiceErrors.

    Neither proxies nor redirects are followed: what is measured is the API itself.
    """
    if not Api.of(target).url:
        raise NotConfigured(SYSTEM, f"Target {target.name} names no api_url in opsnb.toml.")
    where = f"The API at {safe_url(Api.of(target).url)}"
    try:
        with httpx.Client(
            base_url=Api.of(target).url.partition("?")[0],
            timeout=target.time_limit_s,
            trust_env=False,
            verify=_trust(target),
            headers={
                "Accept-Encoding": "identity",
                "Cache-Control": "no-cache",
                **Api.of(target).headers,
            },
        ) as http:
            yield http
    except httpx.TimeoutException as error:
        message = f"{where} did not respond within {target.time_limit_s:g} s."
        raise TimedOut(SYSTEM, message) from error
    except httpx.RemoteProtocolError as error:
        _demand_scheme(target, error)
        message = f"{where} sent an invalid response: {str(error).rstrip('.')}."
        if "without sending a response" in message:
            raise Unreachable(SYSTEM, message) from error
        raise BadAnswer(SYSTEM, message) from error
    except httpx.TransportError as error:
        _demand_scheme(target, error)
        _demand_trust(target, error)
        raise Unreachable(SYSTEM, f"{where} cannot be reached: {_reason(error)}.") from error
    except httpx.HTTPError as error:
        raise BadAnswer(SYSTEM, f"{where} sent an invalid response: {error}.") from error


def _trust(target: Target) -> ssl.SSLContext | bool:
    """Return what certificates of the API are verified by. Raises Misconfigured."""
    if not Api.of(target).url.startswith("https:") or not Api.of(target).verify:
        return False  # reading the authorities takes longer than a request; plain HTTP needs none
    try:
        return _authorities(
            Api.of(target).ca, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Misconfigured(
            SYSTEM,
            f'The authority of {_table(target)}, ca = "{Api.of(target).ca}", cannot be read: '
            f"{reason.rstrip('.')}.",
        ) from error


def is_verified(target: Target) -> bool:
    """Whether the API's certificate is verified, or there is none."""
    return Api.of(target).verify or not Api.of(target).url.startswith("https:")


@check()
def certificate(target: Target) -> Finding:
    """API certificate"""
    if is_verified(target):
        return Finding(status=Status.OK, message="It is verified.")
    return Finding(
        status=Status.WARN,
        message="It is not verified, so anyone in between can read and answer the requests.",
    )


@functools.cache
def _authorities(ca: str, *_: str | None) -> ssl.SSLContext:
    """Return the machine's authorities, those that the environment names, and `ca`."""
    context = ssl.create_default_context()  # which reads SSL_CERT_FILE and SSL_CERT_DIR
    if not any(_):
        context.load_verify_locations(certifi.where())
    if ca:
        folder = Path(ca).is_dir()
        context.load_verify_locations(None if folder else ca, ca if folder else None)
    return context


def _table(target: Target) -> str:
    return f"[targets.{target.name}.api]"


@check(
    probes=SYSTEM,
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
    explained_by="processes.up",
)
def health(target: Target) -> Finding:
    """API health"""
    if not Api.of(target).health:
        return Finding(status=Status.SKIPPED, message=_no_health(target))
    with client(target) as http:
        clock = time.perf_counter()
        answer = _get(http, Api.of(target).health)
        took_ms = (time.perf_counter() - clock) * 1000
    found = judge(answer, Api.of(target).health, _table(target))
    message = found.message
    if found.status is Status.OK:
        message = f"{message.rstrip('.')} in {took_ms:.0f} ms."
    return Finding(
        status=found.status, message=message, rows=_facts(found.facts), blames=_blamed(found.blamed)
    )


def _no_health(target: Target) -> str:
    return f"{_table(target)} has no health: the service's health is not asked for."


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
    """Wait until the health check is well, and return what it said. Raises ServiceError.

    Where there is none, any answer of the API will do.
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
    """Return that the API answers, whatever it says to GET /."""
    with client(target) as http:
        code = _get(http, "/").status_code
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


def _treats_stats(_: Target, finding: Finding) -> list[Remedy]:
    """Resume what is paused; else the API, or a queue that it should serve, is missing."""
    paused = [str(row.get("name")) for row in finding.rows if row.get("paused")]
    if finding.status is Status.WARN and paused:
        return [
            Remedy(runbook="queues/resume", parameters={"queue": queue}, why="resumes it")
            for queue in paused[:3]
        ]
    return [Remedy(runbook="queues/monitor", why="shows the queues as Redis has them")]


@check(needs=(SYSTEM, "queues"), treated_by=_treats_stats)
def queue_stats(target: Target) -> Finding:
    """Queue stats of the API"""
    path = Api.of(target).queue_stats
    if not path:
        message = f"{_table(target)} has no queue_stats: the API is not asked for its queues."
        return Finding(status=Status.SKIPPED, message=message)
    with client(target) as http:
        answer = _get(http, path)
    if not answer.is_success:
        status = Status.CRIT if answer.is_server_error else Status.UNKNOWN
        return Finding(status=status, message=_no_stats(answer, target))
    rows = _queues(answer, path)
    names = {str(row.get("name")) for row in rows}
    missing = [name for name in Queues.of(target).names if name not in names]
    paused = [str(row.get("name")) for row in rows if row.get("paused")]
    if missing:
        status, message = Status.CRIT, f"The API does not report {', '.join(missing)}."
    elif paused:
        message = f"Paused queues: {', '.join(paused)}; their jobs wait until they are resumed."
        status = Status.WARN
    else:
        status, message = Status.OK, f"GET {path} reports all {len(rows)} queues as operational."
    return Finding(status=status, message=message, rows=rows)


def _no_stats(answer: httpx.Response, target: Target) -> str:
    """Return why the API reports no queues, and how to fix it."""
    code, path = answer.status_code, Api.of(target).queue_stats
    head = f"GET {path} answered {code}"
    if code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return f'{head}: the API has none; set queue_stats = "" in {_table(target)}.'
    if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        fix = f'set headers = {{ Authorization = "..." }} in {_table(target)}'
        return f"{head}: it asks for a login; {fix}."
    if answer.has_redirect_location:
        where = answer.request.url.join(answer.headers["location"])
        return f"{head}: it redirects to {where}; set api_url to where it leads."
    return f"{head}: {excerpt(answer.text)}"


def queue_names(target: Target) -> list[str]:
    """Return the queues that the API serves. Raises ServiceError."""
    path = Api.of(target).queue_stats
    if not path:
        raise NotConfigured(SYSTEM, f"{_table(target)} has no queue_stats.")
    with client(target) as http:
        answer = _get(http, path)
    if not answer.is_success:
        raise BadAnswer(SYSTEM, _no_stats(answer, target))
    return [str(row.get("name")) for row in _queues(answer, path)]


def post(
    target: Target, path: str, permit: Permit, *, limit_s: float = 0, **body: Any
) -> dict[str, Any]:
    """Return what the API answers to POST `path` with the JSON `body`.

    It is given `limit_s` seconds where that is more than the target's time limit. Raises
    ServiceError unless it says that it was done.
    """
    require(permit)
    with client(target) as http:
        limit = max(limit_s, target.time_limit_s)
        answer = http.post(
            path, json=body, timeout=httpx.Timeout(limit, connect=http.timeout.connect)
        )
    answer = _clean(answer, answer.content)
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
    return _clean(answer, bytes(body))


def _clean(answer: httpx.Response, body: bytes) -> httpx.Response:
    """Return an answer whose body and headers have no secret in them.

    A body of JSON stays JSON of the same numbers, so that what it means does not change.
    """
    headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    told = httpx.Response(answer.status_code, headers=headers, content=body, request=answer.request)
    try:
        found = json.loads(body.decode("utf-8-sig", "replace"))
        clean = outside.values(found)
    except (ValueError, RecursionError):
        found, clean = told.text, outside.text(told.text)
    if clean != found:
        text = clean if isinstance(clean, str) else json.dumps(clean, ensure_ascii=False)
        told = httpx.Response(
            answer.status_code, headers=headers, text=text, request=answer.request
        )
    for name, value in headers.items():
        told.headers[name] = outside.text(value)
    return told


_KEPT = ("age", "content-type", "location", "retry-after")


def _sample(target: Target, samples: int) -> list[float]:
    """Return the response times of the health check in ms, over one connection as a client has it.

    Raises BadAnswer when what answers is not the service: the time that takes says nothing.
    """
    times_ms: list[float] = []
    path = Api.of(target).health
    with client(target) as http:
        _demand_answer(_get(http, path), target)  # the connection is made before the measurement
        ends = time.monotonic() + _SAMPLING_S
        while len(times_ms) < samples and (not times_ms or time.monotonic() < ends):
            clock = time.perf_counter()
            answer = _get(http, path)
            times_ms.append((time.perf_counter() - clock) * 1000)
            _demand_answer(answer, target)
    return times_ms


def _demand_answer(answer: httpx.Response, target: Target) -> None:
    found = judge(answer, Api.of(target).health, _table(target))
    if not found.is_answer:
        raise BadAnswer(SYSTEM, f"Not measured: {found.message}")


def _samples(times_ms: list[float]) -> list[Row]:
    return [{"sample": number, "ms": round(ms, 2)} for number, ms in enumerate(times_ms, 1)]


def _queues(answer: httpx.Response, path: str) -> list[Row]:
    """Return one row a queue from the body of the queues' path.

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
        raise BadAnswer(SYSTEM, f"GET {path} answered without a list of queues.")
    return found


def _facts(body: dict[str, Any]) -> list[Row]:
    """Return what the health check says of itself, one row a fact."""
    return [{"fact": name, "value": _flat(value)} for name, value in body.items()]


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    return str(value)


def _demand_success(answer: httpx.Response) -> None:
    if not answer.is_success:
        request = answer.request
        message = f"{request.method} {request.url.path} answered {answer.status_code}: "
        raise BadAnswer(SYSTEM, message + excerpt(answer.text))


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError) as error:
        raise BadAnswer(SYSTEM, f"{answer.request.url.path} answered no JSON.") from error


def _reason(error: httpx.TransportError) -> str:
    """Return the operating system's words for `error`, without its number."""
    text = str(error) or type(error).__name__
    text = text.partition("] ")[2] or text
    text = text.partition(" (_ssl")[0]
    if is_untrusted(error):
        text += "; renew its certificate, a restart does not help"
    return text


def _demand_trust(target: Target, error: httpx.TransportError) -> None:
    """Raise Misconfigured where it is opsnb that does not know what the API's users may trust."""
    cause = _untrusted(error)
    if cause is None:
        return
    why = cause.verify_message.rstrip(".")
    where = f"The API at {safe_url(Api.of(target).url)} cannot be asked"
    if certificates.is_of_unknown_authority(cause):
        raise Misconfigured(
            SYSTEM,
            f"{where}: its certificate is not trusted ({why}); name the authority that signed it: "
            f'ca = "/path/ca.pem" in {_table(target)}, or set SSL_CERT_FILE.',
        ) from error
    if certificates.is_of_another_name(cause):
        fix = f"write a name of its certificate in url of {_table(target)}"
        raise Misconfigured(SYSTEM, f"{where}: {why}; {fix}.") from error


def _demand_scheme(target: Target, error: httpx.TransportError) -> None:
    """Raise Misconfigured where the API speaks TLS and api_url does not say so, or the reverse."""
    url = httpx.URL(Api.of(target).url)
    where = f"The API at {safe_url(Api.of(target).url)} cannot be asked"
    if url.scheme == "https":
        if any(words in str(error).lower() for words in _NO_TLS):
            fix = "write http:// in api_url, or name its TLS port"
            raise Misconfigured(SYSTEM, f"{where}: it does not speak TLS there; {fix}.") from error
    elif not isinstance(error, httpx.ConnectError) and _speaks_tls(url):
        fix = "write https:// in api_url"
        raise Misconfigured(SYSTEM, f"{where}: it speaks TLS there; {fix}.") from error


_NO_TLS = ("wrong version number", "wrong_version_number", "record layer failure", "record_layer")
_PROBE_S = 1.0


def _speaks_tls(url: httpx.URL) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: only the handshake counts
    place = (url.host, url.port or 80)
    try:
        with (
            socket.create_connection(place, _PROBE_S) as client,
            context.wrap_socket(client, server_hostname=url.host),
        ):
            return True
    except (OSError, ValueError):
        return False


def is_untrusted(error: BaseException | None) -> bool:
    """Return whether the API was not asked only because its certificate is not accepted."""
    return _untrusted(error) is not None


def _untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
