"""The queues as the service's API reports them."""

from __future__ import annotations

import httpx

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems.api.connecting import SYSTEM, client, table
from opsnb.systems.api.health_words import excerpt
from opsnb.systems.api.responses import get, json_of
from opsnb.systems.api.settings import Api
from opsnb.systems.queues.settings import Queues


def _treats_stats(_: Target, finding: Finding) -> list[Remedy]:
    """Resume paused queues; else show the queues, of which the API lacks some."""
    paused = [str(row.get("name")) for row in finding.rows if row.get("paused")]
    if finding.status is Status.WARN and paused:
        return [Remedy.of("queues/resume", "resumes it", queue=queue) for queue in paused[:3]]
    return [Remedy.of("queues/monitor", "shows the queues as Redis has them")]


@check(needs=(SYSTEM, "queues"), treated_by=_treats_stats)
def queue_stats(target: Target) -> Finding:
    """Queue stats of the API"""
    path = Api.of(target).queue_stats
    if not path:
        message = f"{table(target)} has no queue_stats: the API is not asked for its queues."
        return Finding(status=Status.SKIPPED, message=message)
    with client(target) as http:
        answer = get(http, path)
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
        return f'{head}: the API has none; set queue_stats = "" in {table(target)}.'
    if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        fix = f'set headers = {{ Authorization = "..." }} in {table(target)}'
        return f"{head}: it asks for a login; {fix}."
    if answer.has_redirect_location:
        where = answer.request.url.join(answer.headers["location"])
        return f"{head}: it redirects to {where}; set api_url to where it leads."
    return f"{head}: {excerpt(answer.text)}"


def queue_names(target: Target) -> list[str]:
    """Return the queues that the API serves. Raises ServiceError."""
    path = Api.of(target).queue_stats
    if not path:
        raise NotConfigured(SYSTEM, f"{table(target)} has no queue_stats.")
    with client(target) as http:
        answer = get(http, path)
    if not answer.is_success:
        raise BadAnswer(SYSTEM, _no_stats(answer, target))
    return [str(row.get("name")) for row in _queues(answer, path)]


def _queues(answer: httpx.Response, path: str) -> list[Row]:
    """Return one row a queue from the body of the queues' path.

    Services differ in how they wrap it: a list, `{"queues": [...]}`, or a table by name.
    """
    body = json_of(answer)
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
