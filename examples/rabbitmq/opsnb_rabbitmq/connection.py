"""The management API of RabbitMQ, and what its answers mean."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from opsnb.actions.action import Permit, require
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, NotConfigured, TimedOut, Unreachable
from opsnb.redaction import outside, safe_url
from opsnb_rabbitmq.settings import RabbitMQ

SYSTEM = "rabbitmq"
_MOST_BYTES = 4 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class Connection:
    """One session with the management API, on the target's virtual host."""

    http: httpx.Client
    vhost: str

    def read(self, path: str, shape: type[T], **query: str | int) -> T | None:
        """Return the answer of `GET /api/<path>` in this shape; None when there is no such thing.

        Raises BadAnswer when it has another shape, or when the user's rights do not suffice.
        """
        return self._ask("GET", path, shape, params=query)

    def queue(self, name: str) -> str:
        """Return the path of a queue, or of all of them when `name` is empty."""
        path = f"queues/{quote(self.vhost, safe='')}"
        return f"{path}/{quote(name, safe='')}" if name else path

    def _ask(self, method: str, path: str, shape: type[T], **request: Any) -> T | None:
        with self.http.stream(method, f"api/{path}", **request) as answer:
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    raise BadAnswer(SYSTEM, f"{method} /api/{path} answers with more than 4 MiB.")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise _refusal(answer.status_code, body, f"{method} /api/{path}")
        try:
            return TypeAdapter(shape).validate_json(body)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            place = ".".join(map(str, wrong["loc"])) or "the answer"
            raise BadAnswer(
                SYSTEM, f"{method} /api/{path} is not understood: {place}: {wrong['msg']}."
            ) from error


class Writing(Connection):
    """A connection that may remove messages."""

    def take(self, queue: str, count: int) -> int:
        """Remove the oldest `count` messages that are ready; return how many there were."""
        request = {
            "count": count,
            "ackmode": "ack_requeue_false",
            "encoding": "auto",
            "truncate": 1,  # byte of each message: nobody reads them
        }
        taken = self._ask("POST", f"{self.queue(queue)}/get", list[dict[str, Any]], json=request)
        return len(taken or ())


@contextmanager
def connection(target: Target) -> Iterator[Connection]:
    """Yield a connection for reading; httpx's errors come out as ServiceErrors."""
    with _client(target) as http:
        yield Connection(http, RabbitMQ.of(target).vhost)


@contextmanager
def writing(target: Target, permit: Permit) -> Iterator[Writing]:
    """Yield a connection that may change something. Raises Refused without a valid permit."""
    require(permit)
    with _client(target) as http:
        yield Writing(http, RabbitMQ.of(target).vhost)


@contextmanager
def _client(target: Target) -> Iterator[httpx.Client]:
    url = RabbitMQ.of(target).url
    if not url:
        raise NotConfigured(SYSTEM, f"Target {target.name} names no rabbitmq_url in opsnb.toml.")
    parts = urlsplit(url)
    where = f"RabbitMQ at {safe_url(url)}"
    try:
        with httpx.Client(
            base_url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
            auth=(unquote(parts.username or ""), unquote(parts.password or "")),
            timeout=target.time_limit_s,
            trust_env=False,  # what is measured is RabbitMQ itself, not a proxy
            verify=ssl.create_default_context() if parts.scheme == "https" else False,
        ) as http:
            yield http
    except httpx.TimeoutException as error:
        message = f"{where} did not respond within {target.time_limit_s:g} s."
        raise TimedOut(SYSTEM, message) from error
    except (httpx.ConnectError, httpx.ReadError, httpx.WriteError) as error:
        reason = outside.one_line(str(error), 160).rstrip(".")
        raise Unreachable(SYSTEM, f"{where} cannot be reached: {reason}.") from error
    except httpx.HTTPError as error:
        reason = outside.one_line(str(error), 160).rstrip(".")
        raise BadAnswer(SYSTEM, f"{where} sent no valid HTTP answer: {reason}.") from error


def _refusal(status: int, body: bytes, what: str) -> BadAnswer | Misconfigured:
    """Return the error for an answer that is not what was asked for.

    RabbitMQ refuses a wrong password and a missing right with 401 alike, newer versions a missing
    right with 403; the reason tells them apart.
    """
    try:
        reason = str(httpx.Response(status, content=body).json()["reason"])
    except (ValueError, KeyError, TypeError):
        reason = body.decode(errors="replace")
    said = f"{what} answers {status}: {outside.one_line(reason, 160) or 'nothing'}"
    if status not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return BadAnswer(SYSTEM, f"{said}.")
    if "login failed" in reason.lower():
        return Misconfigured(
            SYSTEM, f"RabbitMQ refuses the login of rabbitmq_url. {said}. Correct the password."
        )
    return BadAnswer(
        SYSTEM,
        f"The user of rabbitmq_url lacks a right. {said}. Give it the tag monitoring, and read "
        "permission in the virtual host.",
    )
