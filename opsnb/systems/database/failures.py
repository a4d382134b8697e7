"""What goes wrong with PostgreSQL, in one sentence each: the one place that knows psycopg's errors.

An error of a statement is known by its SQLSTATE, never by its words, which may be in any language.
One of connecting has none; there the words decide, and what they do not is asked with a ping.
"""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, ServiceError, TimedOut, Unreachable
from opsnb.redaction import outside, safe_url
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
"""The server's state, or that of the one behind a pooler: no login would do better."""
_STATEMENT_MODE = "not allowed in statement pooling mode"
"""What pgbouncer says, under the SQLSTATE that it has for everything."""
_OF_THE_URL = re.compile(
    r"certificate|not support SSL|private key|password supplied|channel binding|peer authentication"
    r"|authentication method requirement"
)


def mapped(target: Target, error: psycopg.Error, *, bounded: bool) -> ServiceError:
    """Return what `error` means.

    `bounded` says whether a cancelled statement was cancelled by the target's time limit.
    """
    if error.sqlstate is None:
        return _of_connecting(target, error)
    where = f"PostgreSQL at {place(target)}"
    said: ServiceError
    match error:
        case psycopg.errors.QueryCanceled() if not bounded:
            said = BadAnswer(SYSTEM, f"{where} ended the statement: {reason(error)}.")
        case psycopg.errors.QueryCanceled():
            said = TimedOut(SYSTEM, f"{where} did not answer within {target.time_limit_s:g} s.")
        case psycopg.errors.LockNotAvailable():
            said = TimedOut(
                SYSTEM,
                f"{where} gave no lock in time, because another session holds it; find it with: "
                + commands.run("database/connections", target),
            )
        case psycopg.errors.InsufficientPrivilege():
            said = BadAnswer(
                SYSTEM,
                f"{where} does not allow it: {reason(error)}; use a login that may, in the "
                f"database_url of target {target.name}.",
            )
        case psycopg.errors.ReadOnlySqlTransaction():
            said = BadAnswer(SYSTEM, f"{where} refuses to write: {reason(error)}.")
        case psycopg.errors.DiskFull():
            said = BadAnswer(SYSTEM, f"{where} has no disk space left: {reason(error)}.")
        case psycopg.errors.ObjectInUse():
            said = BadAnswer(SYSTEM, f"{where} does not let go: {reason(error)}.")
        case (
            psycopg.errors.AdminShutdown()
            | psycopg.errors.CrashShutdown()
            | psycopg.errors.CannotConnectNow()
        ):
            said = Unreachable(SYSTEM, f"{where} ended the connection: {reason(error)}.")
        case psycopg.OperationalError() if _STATEMENT_MODE in reason(error):
            said = Misconfigured(
                SYSTEM,
                f"{where} is reached through a pooler in statement mode, which allows no "
                "transaction: give the server's own address, or a pool in transaction mode, in "
                f"the database_url of target {target.name}.",
            )
        case psycopg.OperationalError() if error.sqlstate[:2] == "08":
            said = Unreachable(SYSTEM, f"{where} ended the connection: {reason(error)}.")
        case _:
            said = BadAnswer(SYSTEM, f"{where} answered with an error: {reason(error)}.")
    return said


def _of_connecting(target: Target, error: psycopg.Error) -> ServiceError:
    """Return what an error without an SQLSTATE means: libpq's own, or one of connecting."""
    where, why, text = f"PostgreSQL at {place(target)}", reason(error), str(error)
    fix = f"correct it in the database_url of target {target.name}"
    said: ServiceError
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        said = TimedOut(SYSTEM, f"{where} did not answer within {target.time_limit_s:g} s.")
    elif not isinstance(error, psycopg.OperationalError | psycopg.ProgrammingError):
        said = BadAnswer(SYSTEM, f"{where} answered with an error: {why}.")
    elif _FULL.search(text):
        said = Unreachable(
            SYSTEM,
            f"{where} has no connection left: {why}. Restart the process that "
            "holds most of them: "
            + commands.run("incidents/service_down", target, apply=True, process="NAME"),
        )
    elif _BEHIND.search(text) or ("FATAL:" in text and _rejects(target)):
        said = Unreachable(SYSTEM, f"{where} takes no connections: {why}.")
    elif "FATAL:" in text:  # it was reached, and said no
        said = Misconfigured(SYSTEM, f"{where} refuses the login: {why}; {fix}.")
    elif _is_about_the_url(error, text):
        said = Misconfigured(SYSTEM, f"{where} cannot be asked: {why}; {fix}.")
    else:
        said = Unreachable(SYSTEM, f"{where} cannot be reached: {why}.")
    return said


def _is_about_the_url(error: psycopg.Error, text: str) -> bool:
    """Return whether libpq itself refuses the URL, or what it says of TLS and the password."""
    unasked = "connection is bad:" in text and "connection to server" not in text
    return isinstance(error, psycopg.ProgrammingError) or unasked or bool(_OF_THE_URL.search(text))


def _rejects(target: Target) -> bool:
    """Return whether the server takes nobody's connection now, whatever the login."""
    limit = {"connect_timeout": str(max(2, round(target.time_limit_s)))}
    try:
        conninfo = make_conninfo(Database.of(target).conninfo, **limit)
    except psycopg.Error:
        return False
    return PGconn.ping(conninfo.encode()) == Ping.REJECT


def of_result(failure: psycopg.Error) -> psycopg.Error:
    """Return what to raise for a result that is an error.

    One without a code is not the server's word, but libpq's on the loss of the connection.
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
    """Return what the server or the system said, in one line, without the address."""
    text = outside.text(error.diag.message_primary or str(error)).strip()
    text = _NAMED.sub(lambda name: f'"{outside.ended(name[1])}"', text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    for marker in ("FATAL:", "ERROR:", "failed:", "is bad:"):
        first = first.rpartition(marker)[2].strip() or first
    return first.rstrip(".")
