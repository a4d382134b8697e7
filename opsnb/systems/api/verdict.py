"""What an answer to the health check means: its status code and its body, judged in one place.

Services differ: plain text, `{"status": "ok"}`, Spring's components, Terminus' details, the RFC
draft's `application/health+json`. A word that is not known decides nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from opsnb.model import Status
from opsnb.systems.api.health_body import judge_body, judge_text
from opsnb.systems.api.health_words import excerpt


@dataclass(frozen=True)
class Verdict:
    """What the answer means."""

    status: Status
    message: str
    """One sentence."""
    is_answer: bool = False
    """Whether the service itself answered, so that the time it took says something."""
    blamed: tuple[str, ...] = ()
    """The parts that the service reports as failing."""
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
    """Return that a cache answered in place of the service; None when none did."""
    age = answer.headers.get("age", "").strip()
    if not age.isdecimal() or not int(age):
        return None
    message = (
        f"{head} out of a cache, {int(age):,} s old, which says nothing of the service now: "
        f"exempt the health check from caching, or set api_url of {table} past the cache."
    )
    return Verdict(Status.UNKNOWN, message)


def _failure(answer: httpx.Response, head: str) -> Verdict:
    """Judge an error code and the body beside it."""
    retry = answer.headers.get("retry-after", "")
    again = f" It asks to try again after {retry} s." if retry.isdecimal() else ""
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Verdict(Status.UNKNOWN, f"{head}: it is asked too often.{again}")
    body = _json(answer)
    said = judge_body(body) if isinstance(body, dict) else None
    message = f"{head} instead of 200: {excerpt(answer.text)}"
    if said and said.status is not Status.OK:
        message = f"{head}: it {said.words}."
    status = Status.CRIT if answer.is_server_error else Status.UNKNOWN
    facts = body if isinstance(body, dict) else {}
    return Verdict(status, message + again, blamed=said.blamed if said else (), facts=facts)


def _body(answer: httpx.Response, path: str, table: str) -> Verdict:
    """Judge the body of a successful answer."""
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
    said = judge_text(text) if body is _NO_JSON else judge_body(body)
    facts = body if isinstance(body, dict) else {}
    if said is None or said.status is Status.OK:
        message = well.message
        if said and said.words:
            message = f"GET {path} answered {code} and {said.words}."
        return Verdict(well.status, message, is_answer=True, facts=facts)
    message = f"GET {path} answered {code} but {said.words}."
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
