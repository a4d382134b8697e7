"""PostgreSQL's failures, in one sentence each: the one place that knows psycopg's errors.

The error of a statement is recognised by its SQLSTATE, never by its words, which may be in any
language. A failed connection has none: there the words decide or, where they cannot, a ping.
"""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, ServiceError, TimedOut, Unreachable
from opsnb.redaction import outside, safe_url
from opsnb.systems import certificates
from opsnb.systems.database import tls
from opsnb.systems.database.settings import Database
from opsnb.view import commands

SYSTEM = "database"

_NAMED = re.compile(r'"([^"]+)"')
"""A name in a message of the server, which may have been cut to 63 bytes."""

_FULL = re.compile(
    r"too many (?:clients|connections)|remaining connection slots|no more connections allowed"
)
_BEHIND = re.compile(
    r"the database system is|consistent recovery state|server login has been failing"
    r"|query_wait_timeout|client_login_timeout|server_login_retry"
    r"|cannot connect to server|server conn crashed|is not currently accepting connections"
    r"|session is (?:not )?read-only|server is (?:not )?in (?:hot standby|recovery)"
)
"""The state of the server, or of the one behind a pooler; no other login would get in."""
_STATEMENT_MODE = "not allowed in statement pooling mode"
"""pgbouncer's message; it has the same SQLSTATE for every error."""
_UNVERIFIED = "certificate verify failed"
_OF_THE_URL = re.compile(
    r"certificate|not support SSL|private key|password supplied|channel binding|peer authentication"
    r"|authentication method requirement"
)


def mapped(target: Target, error: psycopg.Error, *, bounded: bool) -> ServiceError:
    """Return the ServiceError that `error` means.

    `bounded` says whether a cancelled statement was cancelled by the target's time limit.
    """
    if error.sqlstate is None:
        return _of_connecting(target, error)
    where = f"PostgreSQL at {place(target)}"
    failure: ServiceError
    match error:
        case psycopg.errors.QueryCanceled() if not bounded:
            failure = BadAnswer(SYSTEM, f"{where} ended the statement: {reason(error)}.")
        case psycopg.errors.QueryCanceled():
            failure = TimedOut(SYSTEM, f"{where} did not respond within {target.time_limit_s:g} s.")
        case psycopg.errors.LockNotAvailable():
            failure = TimedOut(
                SYSTEM,
                f"{where} gave no lock in time, because another session holds it; find it with: "
                + commands.run("database/connections", target),
            )
        case psycopg.errors.InsufficientPrivilege():
            failure = BadAnswer(
                SYSTEM,
                f"{where} denies this login the right: {reason(error)}; use another login in the "
                f"database_url of target {target.name}.",
            )
        case psycopg.errors.ReadOnlySqlTransaction():
            failure = BadAnswer(SYSTEM, f"{where} refuses to write: {reason(error)}.")
        case psycopg.errors.DiskFull():
            failure = BadAnswer(SYSTEM, f"{where} has no disk space left: {reason(error)}.")
        case psycopg.errors.ObjectInUse():
            failure = BadAnswer(SYSTEM, f"{where} cannot release it: {reason(error)}.")
        case (
            psycopg.errors.AdminShutdown()
            | psycopg.errors.CrashShutdown()
            | psycopg.errors.CannotConnectNow()
        ):
            failure = Unreachable(SYSTEM, f"{where} ended the connection: {reason(error)}.")
        case psycopg.OperationalError() if _STATEMENT_MODE in reason(error):
            failure = Misconfigured(
                SYSTEM,
                f"{where} is reached through a pooler in statement mode, which allows no "
                "transaction: set the server's own address, or a pool in transaction mode, in "
                f"the database_url of target {target.name}.",
            )
        case psycopg.OperationalError() if error.sqlstate[:2] == "08":
            failure = Unreachable(SYSTEM, f"{where} ended the connection: {reason(error)}.")
        case _:
            failure = BadAnswer(SYSTEM, f"{where} reported an error: {reason(error)}.")
    return failure


def _of_connecting(target: Target, error: psycopg.Error) -> ServiceError:
    """Return what an error without an SQLSTATE means: libpq's own, or a failed connection."""
    where, why, text = f"PostgreSQL at {place(target)}", reason(error), str(error)
    fix = f"correct it in the database_url of target {target.name}"
    failure: ServiceError
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        failure = TimedOut(SYSTEM, f"{where} did not respond within {target.time_limit_s:g} s.")
    elif not isinstance(error, psycopg.OperationalError | psycopg.ProgrammingError):
        failure = BadAnswer(SYSTEM, f"{where} reported an error: {why}.")
    elif _FULL.search(text):
        failure = Unreachable(
            SYSTEM,
            f"{where} has no connection left: {why}. Restart the process that "
            "holds most of them: "
            + commands.run("incidents/service_down", target, apply=True, process="NAME"),
        )
    elif _BEHIND.search(text) or ("FATAL:" in text and _rejects(target)):
        failure = Unreachable(SYSTEM, f"{where} accepts no connections: {why}.")
    elif "FATAL:" in text:  # it was reached, and refused
        failure = Misconfigured(SYSTEM, f"{where} refuses the login: {why}; {fix}.")
    elif _UNVERIFIED in text and (broken := tls.broken_certificate(target)):
        failure = Unreachable(
            SYSTEM, f"{where} cannot be reached: {certificates.to_renew(broken)}."
        )
    elif _is_about_the_url(error, text):
        failure = Misconfigured(SYSTEM, f"{where} cannot be used: {why}; {fix}.")
    else:
        failure = Unreachable(SYSTEM, f"{where} cannot be reached: {why}.")
    return failure


def _is_about_the_url(error: psycopg.Error, text: str) -> bool:
    """Return whether libpq itself refuses the URL, or its TLS settings or password."""
    unused = "connection is bad:" in text and "connection to server" not in text
    return isinstance(error, psycopg.ProgrammingError) or unused or bool(_OF_THE_URL.search(text))


def _rejects(target: Target) -> bool:
    """Return whether the server accepts no connection at all now."""
    limit = {"connect_timeout": str(max(2, round(target.time_limit_s)))}
    try:
        conninfo = make_conninfo(Database.of(target).conninfo, **limit)
    except psycopg.Error:
        return False
    return PGconn.ping(conninfo.encode()) == Ping.REJECT


def of_result(failure: psycopg.Error) -> psycopg.Error:
    """Return the exception for a result that is an error.

    An error without a code does not come from the server: libpq lost the connection.
    """
    if failure.sqlstate is None:
        return psycopg.OperationalError(str(failure))
    return failure


def place(target: Target) -> str:
    """Return host, port and database of the target, without the login."""
    try:
        parts = conninfo_to_dict(Database.of(target).conninfo)
    except psycopg.ProgrammingError:
        return safe_url(Database.of(target).url)
    if "service" in parts and "host" not in parts:
        return f"service {parts['service']}"
    host, port = parts.get("host", "localhost"), parts.get("port", 5432)
    return f"{host}:{port}/{parts.get('dbname', '')}"


def reason(error: psycopg.Error) -> str:
    """Return the server's or the system's message, in one line, without the address."""
    text = outside.text(error.diag.message_primary or str(error)).strip()
    text = _NAMED.sub(lambda name: f'"{outside.ended(name[1])}"', text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    for marker in ("FATAL:", "ERROR:", "failed:", "is bad:"):
        first = first.rpartition(marker)[2].strip() or first
    return first.rstrip(".")
