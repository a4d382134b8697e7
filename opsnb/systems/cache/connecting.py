"""Connections to Redis or Valkey, and the one place that knows the driver's exceptions."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio

from opsnb.actions.action import Permit, require
from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import (
    BadAnswer,
    Misconfigured,
    NotConfigured,
    ParameterError,
    ServiceError,
    TimedOut,
    Unreachable,
)
from opsnb.systems.cache import listener
from opsnb.systems.cache.server import SYSTEM, Server, server_of
from opsnb.systems.cache.wire import (
    ASYNC_PARSERS,
    DENIED,
    PARSERS,
    Client,
    NotRedis,
    Stranger,
    TooLarge,
    introduce,
    introduce_async,
)


@contextmanager
def connection(
    target: Target, *, db: int | None = None, decode: bool = True, system: str = SYSTEM
) -> Iterator[redis.Redis]:
    """Yield a connection to the target's Redis; the driver's errors come out as ServiceErrors.

    It is for reading; what changes something takes `writing`. `db` is a database other than the
    one that the URL names. Without `decode`, keys and values are bytes: a key need not be text,
    and only its own bytes name it. `system` is whose Redis: the cache's, or `queues`.
    """
    with errors(target, system) as server:
        options = server.options()
        if db is not None:
            options["db"] = db
        pool = redis.ConnectionPool(
            **options,
            parser_class=PARSERS[options["protocol"]],
            redis_connect_func=introduce,
            decode_responses=decode,
        )
        with Client.from_pool(pool) as client:
            yield client


def asynchronous(server: Server) -> Any:
    """Return redis-py's asynchronous client for `server`, not connected yet.

    It is used within `errors`. Raises ServiceError.
    """
    options = server.options()
    own = options.get("connection_class")
    if own is not None:
        options["connection_class"] = _ASYNC[own]
    pool: Any = redis.asyncio.ConnectionPool(
        **options,
        parser_class=ASYNC_PARSERS[options["protocol"]],
        redis_connect_func=introduce_async,
        decode_responses=True,
    )
    return redis.asyncio.Redis.from_pool(pool)


_ASYNC: dict[Any, Any] = {
    redis.SSLConnection: redis.asyncio.SSLConnection,
    redis.UnixDomainSocketConnection: redis.asyncio.UnixDomainSocketConnection,
}


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


def known_info(target: Target, client: redis.Redis) -> dict[str, Any]:
    """Return INFO, or nothing where this login may not run it, for who can do without."""
    try:
        return read_info(client)
    except redis.ResponseError as error:
        evidence.without(
            f"the server's role and mode: Redis {refusal(server_of(target).login, error)}"
        )
        return {}


def figure(info: dict[str, Any], name: str) -> int:
    """Return a number of INFO. Raises BadAnswer where this server does not report it."""
    try:
        return int(info[name])
    except (KeyError, TypeError, ValueError):
        raise BadAnswer(SYSTEM, f"This Redis does not report {name} in INFO.") from None


def server_time_s(client: redis.Redis) -> int:
    """Return the server's clock; this machine's where TIME is not permitted."""
    try:
        found: Any = client.time()
    except redis.ResponseError:
        return int(time.time())
    return int(found[0])


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
def errors(target: Target, system: str = SYSTEM) -> Iterator[Server]:
    """Map what redis-py raises within to ServiceErrors: the one place that knows its exceptions.

    `system` is whose Redis is asked: the cache's or, as `queues`, that of the queues. It yields
    that server, to be connected to: messages then name the master that its Sentinel names.
    """
    server = server_of(target, system)
    setting = server.setting
    if not server.url:
        raise NotConfigured(system, f"Target {target.name} names no {setting} in opsnb.toml.")
    try:
        yield server
    except ServiceError:
        raise
    except redis.TimeoutError as error:
        raise _late(server, error) from error
    except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
        message = f"{server.where} refuses the login: {str(error).rstrip('.')}. Correct {setting}."
        raise Misconfigured(system, message) from error
    except redis.BusyLoadingError as error:
        message = f"{server.where} is still loading its data; wait until it has."
        raise Unreachable(system, message) from error
    except (redis.ConnectionError, OSError) as error:
        head = f"{server.where} cannot be reached"
        if fault := listener.own_fault(_cause(error), server):
            raise Misconfigured(system, f"{head}: {fault}.") from error
        raise Unreachable(system, f"{head}: {_reason(error)}.") from error
    except Stranger as error:
        raise Unreachable(system, f"{server.where} {error} in {setting}.") from error
    except TooLarge as error:
        raise BadAnswer(system, f"{server.where} gave {error}, which is not read.") from error
    except NotRedis as error:
        raise BadAnswer(system, f"{server.where} gave {error}.") from error
    except redis.RedisError as error:
        raise _refused(server, error) from error


def _late(server: Server, error: Exception) -> ServiceError:
    """Return what an answer that did not come means."""
    if "handshake" in str(error.__context__) and listener.speaks_plainly(server):
        message = f"{server.where} does not speak TLS; write redis:// in {server.setting}."
        return Misconfigured(server.system, message)
    message = f"{server.where} did not answer within {server.time_limit_s:g} s."
    return TimedOut(server.system, message)


def _refused(server: Server, error: Exception) -> ServiceError:
    """Return what an answer that is an error means."""
    if str(error).startswith(DENIED):
        return Misconfigured(
            server.system,
            f"{server.where} is in protected mode and denies connections from this machine; "
            f"set a password in Redis and in {server.setting}.",
        )
    return BadAnswer(server.system, f"{server.where} {refusal(server.login, error)}")


def refusal(user: str, error: Exception) -> str:
    """Return what the server refused, and how to fix it."""
    text = str(error).rstrip(".")
    if isinstance(error, redis.exceptions.NoPermissionError):
        return _permission(user, text)
    if "ACL failure in script" in text or "user executing the script" in text:
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


def _cause(error: Exception) -> BaseException:
    # What was being handled when it was raised is its reason only where it is redis-py that
    # wraps the operating system's error; it may be a failure of anything else.
    context = error.__context__ if isinstance(error.__context__, OSError) else None
    return error.__cause__ or context or error


def _reason(error: Exception) -> str:
    """Return the operating system's words for `error`, without its number and address."""
    cause = _cause(error)
    text = str(cause).rstrip(".")
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"its certificate is not trusted ({cause.verify_message.rstrip('.')})"
    elif isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror
    return text.partition("Connect call failed")[0].strip() or text
