"""Requests to the API, and their answers: whole, bounded and without secrets."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from opsnb.actions.action import Permit, require
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, TimedOut
from opsnb.redaction import outside
from opsnb.systems.api.connecting import SYSTEM, client
from opsnb.systems.api.health_words import excerpt

_MOST_BYTES = 4 * 1024 * 1024


def post(
    target: Target, path: str, permit: Permit, *, limit_s: float = 0, **body: Any
) -> dict[str, Any]:
    """Return the API's answer to POST `path` with the JSON `body`.

    It may take `limit_s` seconds, or the target's time limit if that is longer. Raises
    ServiceError unless it succeeds.
    """
    require(permit)
    with client(target) as http:
        limit = max(limit_s, target.time_limit_s)
        answer = http.post(
            path, json=body, timeout=httpx.Timeout(limit, connect=http.timeout.connect)
        )
    answer = _clean(answer, answer.content)
    _demand_success(answer)
    answered = json_of(answer)
    return answered if isinstance(answered, dict) else {"answer": answered}


def get(http: httpx.Client, path: str) -> httpx.Response:
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

    JSON stays JSON with the same numbers, so that its meaning does not change.
    """
    headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    copy = httpx.Response(answer.status_code, headers=headers, content=body, request=answer.request)
    try:
        parsed = json.loads(body.decode("utf-8-sig", "replace"))
        clean = outside.values(parsed)
    except (ValueError, RecursionError):
        parsed, clean = copy.text, outside.text(copy.text)
    if clean != parsed:
        text = clean if isinstance(clean, str) else json.dumps(clean, ensure_ascii=False)
        copy = httpx.Response(
            answer.status_code, headers=headers, text=text, request=answer.request
        )
    for name, value in headers.items():
        copy.headers[name] = outside.text(value)
    return copy


_KEPT = ("age", "content-type", "location", "retry-after")


def _demand_success(answer: httpx.Response) -> None:
    if not answer.is_success:
        request = answer.request
        message = f"{request.method} {request.url.path} answered {answer.status_code}: "
        raise BadAnswer(SYSTEM, message + excerpt(answer.text))


def json_of(answer: httpx.Response) -> Any:
    """Return the JSON in an answer. Raises BadAnswer when there is none."""
    try:
        return answer.json()
    except (ValueError, RecursionError) as error:
        raise BadAnswer(SYSTEM, f"{answer.request.url.path} answered no JSON.") from error
