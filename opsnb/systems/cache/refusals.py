"""The one place that knows redis-py's exceptions: which ServiceError each is, and how to fix it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from opsnb.config.target import Target
from opsnb.errors import (
    BadAnswer,
    Misconfigured,
    NotConfigured,
    ServiceError,
    TimedOut,
    Unreachable,
)
from opsnb.systems import certificates
from opsnb.systems.cache import listener
from opsnb.systems.cache.server import SYSTEM, Server, server_of
from opsnb.systems.cache.wire import DENIED, NotRedis, Stranger, TooLarge


@contextmanager
def reaching(target: Target, system: str = SYSTEM) -> Iterator[Server]:
    """Yield the server to connect to. What redis-py raises inside comes out as a ServiceError.

    `system` says whose Redis: the cache's or, as `queues`, that of the queues. The messages name
    the master that Sentinel named.
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
        message = f"{server.where} is still loading its data; wait until it is done."
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
    """Return the error for an answer that did not come in time."""
    if "handshake" in str(error.__context__) and listener.speaks_plainly(server):
        message = f"{server.where} does not speak TLS; write redis:// in {server.setting}."
        return Misconfigured(server.system, message)
    message = f"{server.where} did not respond within {server.time_limit_s:g} s."
    return TimedOut(server.system, message)


def _refused(server: Server, error: Exception) -> ServiceError:
    """Return the error for an answer that is an error."""
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
            f"does not let user '{user}' run the commands of the clear; "
            f"let it: ACL SETUSER {user} +scan +unlink."
        )
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return "is a read-only replica; use its primary."
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "is full and refuses to write; delete keys or raise maxmemory."
    if text.startswith("MISCONF"):
        return (
            "refuses to write because it cannot save its data; check its log and disk, "
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
    # The error under way is the reason only where redis-py wraps an error of the operating
    # system; it may be a failure of anything else.
    context = error.__context__ if isinstance(error.__context__, OSError) else None
    return error.__cause__ or context or error


def _reason(error: Exception) -> str:
    """Return the operating system's words for `error`, without its number and address."""
    cause = _cause(error)
    text = str(cause).rstrip(".")
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = certificates.to_renew(cause.verify_message.rstrip("."))
    elif isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror
    return text.partition("Connect call failed")[0].strip() or text
