"""Connections to Redis or Valkey, and the one place that knows the driver's exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import redis

from opsnb.errors import (
    BadAnswer,
    NotConfigured,
    ParameterError,
    ServiceError,
    TimedOut,
    Unreachable,
)
from opsnb.guard import Permit, require
from opsnb.redaction import safe_url
from opsnb.target import Target

SYSTEM = "redis"


@contextmanager
def connection(
    target: Target, *, db: int | None = None, decode: bool = True
) -> Iterator[redis.Redis]:
    """Yield a connection to the target's Redis; the driver's errors come out as ServiceErrors.

    It is for reading; what changes something takes `writing`. `db` is a database other than the
    one that the URL names. Without `decode`, keys and values are bytes: a key need not be text,
    and only its own bytes name it.
    """
    with errors(target):
        client = redis.Redis.from_url(
            target.cache.url,
            socket_timeout=target.time_limit_s,
            socket_connect_timeout=target.time_limit_s,
            redis_connect_func=_introduce,
            decode_responses=decode,
            encoding_errors="replace",
            retry=None,
        )
        if db is not None:
            # What a URL says goes before any argument, so its database is replaced afterwards.
            client.connection_pool.connection_kwargs["db"] = db
        with client:
            yield client


@contextmanager
def writing(
    target: Target, permit: Permit, *, db: int | None = None, decode: bool = False
) -> Iterator[redis.Redis]:
    """Yield a connection that may change the target's Redis. Raises Refused without a permit."""
    require(permit)
    with connection(target, db=db, decode=decode) as client:
        yield client


def chosen_database(target: Target, client: redis.Redis, db: str) -> int:
    """Return the number of the database `db`, or of the one that `client` is connected to.

    Raises ParameterError when the server has no such database.
    """
    if not db:
        return int(client.connection_pool.connection_kwargs.get("db") or 0)
    try:
        with connection(target, db=int(db)) as other:
            other.ping()
    except ValueError:
        reason = "a database has a number"
    except BadAnswer as error:
        if "out of range" not in str(error):
            raise
        reason = "the server has no such database"
    else:
        return int(db)
    filled = ", ".join(map(str, filled_databases(read_info(client)))) or "none"
    raise ParameterError(f"db={db} cannot be used: {reason}. Databases with keys: {filled}.")


def filled_databases(info: dict[str, Any]) -> list[int]:
    """Return the numbers of the databases that hold keys, from INFO."""
    return sorted(int(name[2:]) for name in info if name.startswith("db") and name[2:].isdigit())


def read_info(client: redis.Redis, *sections: str) -> dict[str, Any]:
    """Return INFO. Raises BadAnswer on a node of a cluster: its figures are not the cluster's."""
    found: dict[str, Any] = client.info(*sections)
    if not sections and found.get("cluster_enabled"):
        raise BadAnswer(
            SYSTEM,
            "Redis runs in cluster mode, which is not supported: this node's figures would "
            "pass for the cluster's. Use redis-cli --cluster.",
        )
    return found


def demand_writable(info: dict[str, Any]) -> None:
    """Raise BadAnswer when the server is a replica that takes no writes."""
    if info.get("role") == "slave" and info.get("slave_read_only", 1):
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        raise BadAnswer(
            SYSTEM, f"This Redis is a read-only replica of {primary}; act on its primary."
        )


def execute(pipeline: Any) -> list[Any]:
    """Return the replies of a pipeline. Raises the first error, without quoting any value."""
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


@contextmanager
def errors(target: Target, system: str = SYSTEM) -> Iterator[None]:
    """Map what redis-py raises within to ServiceErrors: the one place that knows its exceptions.

    `system` is whose Redis is asked: the cache's or, as `queues`, that of the queues.
    """
    url = target.queues.url if system == "queues" else target.cache.url
    if not url:
        raise NotConfigured(system, f"Target {target.name} names no redis_url in opsnb.toml.")
    where = f"Redis at {safe_url(url)}"
    try:
        yield
    except ServiceError:
        raise
    except redis.TimeoutError as error:
        message = f"{where} did not answer within {target.time_limit_s:g} s."
        raise TimedOut(system, message) from error
    except redis.AuthenticationError as error:
        setting = "queues.url" if url != target.cache.url else "redis_url"
        message = f"{where} refuses the login: {str(error).rstrip('.')}. Correct {setting}."
        raise Unreachable(system, message) from error
    except redis.BusyLoadingError as error:
        message = f"{where} is still loading its data; wait until it has."
        raise Unreachable(system, message) from error
    except (redis.ConnectionError, OSError) as error:
        raise Unreachable(system, f"{where} cannot be reached: {_reason(error)}.") from error
    except redis.RedisError as error:
        raise BadAnswer(system, f"{where} {_answer(url, error)}") from error


def _introduce(connection: Any) -> None:
    """Log in, then tell the server our name, which a limited user may not be allowed to."""
    connection.on_connect()
    with suppress(redis.ResponseError):
        connection.send_command("CLIENT", "SETNAME", "opsnb")
        connection.read_response()


def _answer(url: str, error: redis.RedisError) -> str:
    """Return what the server refused, and the mend."""
    text = str(error).rstrip(".")
    if isinstance(error, redis.exceptions.NoPermissionError):
        return _permission(urlsplit(url).username or "default", text)
    if "ACL failure in script" in text or "user executing the script" in text:
        user = urlsplit(url).username or "default"
        return (
            f"does not let user '{user}' run what the clear consists of; "
            f"let it: ACL SETUSER {user} +scan +unlink."
        )
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return "is a read-only replica; act on its primary."
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "is full and refuses to write; clear what is not needed or raise maxmemory."
    if text.startswith("MISCONF"):
        return (
            "refuses to write because it cannot save its data; look at its log and disk, "
            "then run: redis-cli BGSAVE."
        )
    return f"answered with an error: {text}."


def _permission(user: str, text: str) -> str:
    command = re.search(r"'([^' ]+)' command", text)
    if command is None:
        return f"lets user '{user}' see some keys only; let it see all: ACL SETUSER {user} allkeys."
    return (
        f"does not let user '{user}' run {command[1].replace('|', ' ').upper()}; "
        f"let it: ACL SETUSER {user} +{command[1]}."
    )


def _reason(error: Exception) -> str:
    """Return the operating system's words for `error`, without its number and address."""
    # What was being handled when it was raised is its reason only where it is redis-py that
    # wraps the operating system's error; it may be a failure of anything else.
    context = error.__context__ if isinstance(error.__context__, OSError) else None
    cause = error.__cause__ or context or error
    text = str(cause).rstrip(".")
    if isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror
    return text.partition("Connect call failed")[0].strip() or text
