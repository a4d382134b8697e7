"""Connections to PostgreSQL, what goes wrong with them, and its client programs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.abc import Query
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from opsnb.errors import BadAnswer, NotConfigured, ServiceError, TimedOut, Unreachable
from opsnb.guard import Permit, require
from opsnb.redaction import safe_url
from opsnb.target import Target

SYSTEM = "database"
APPLICATION = "opsnb"
"""The application name of all that is ours, by which it is spared when long queries are ended."""

LOCK_WAIT_S = 10.0
"""How long a change waits for a lock, unless a parameter says otherwise."""

OUR_MARK = "/* opsnb */"
"""Ends each statement of ours, so that none of them is ever taken for the service's.

At the end: since version 18, statistics leave out what stands before a statement.
"""

MARKED = f"%{OUR_MARK}%"
"""The pattern of such a statement."""

Connection = psycopg.Connection[dict[str, Any]]


class _Cursor(psycopg.Cursor[dict[str, Any]]):
    """Puts our mark behind what it executes."""

    def execute(self, query: Query, *args: Any, **kwargs: Any) -> Self:
        return super().execute(_marked(query), *args, **kwargs)


def _marked(query: Query) -> Query:
    match query:
        case bytes():
            return query + f"\n{OUR_MARK}".encode()
        case sql.SQL() | sql.Composed():
            return query + sql.SQL("\n/* opsnb */")
        case str():
            return f"{query}\n{OUR_MARK}"
        case _:
            return query


@contextmanager
def connection(
    target: Target, database: str = "", *, limit_s: float | None = None
) -> Iterator[Connection]:
    """Yield a read-only connection on which every statement is bounded by the time limit.

    All statements are of one transaction. `database` is another one of the same server, and
    `limit_s` stands in for the target's limit where rows are counted.
    """
    with errors(target), _connect(target, database) as connected:
        connected.read_only = True
        limit_ms = round((limit_s or target.time_limit_s) * 1000)
        connected.execute("SELECT set_config('statement_timeout', %s, true)", [str(limit_ms)])
        yield connected


@contextmanager
def session(
    target: Target, permit: Permit, *, database: str = "", lock_wait_s: float = LOCK_WAIT_S
) -> Iterator[Connection]:
    """Yield a connection that may write, each statement a transaction of its own.

    A statement may take as long as it needs, but waits for no lock longer than `lock_wait_s`.
    Raises Refused without a valid permit.
    """
    require(permit)
    # Closed without a rollback, which would wait for a statement that is still under way.
    with errors(target, bounded=False), closing(_connect(target, database)) as connected:
        connected.autocommit = True
        connected.execute(
            "SELECT set_config('lock_timeout', %s, false),"
            " set_config('statement_timeout', '0', false)",
            [str(round(lock_wait_s * 1000))],
        )
        yield connected


@contextmanager
def rehearsal(target: Target, *, limit_s: float, lock_wait_s: float) -> Iterator[Connection]:
    """Yield a connection that may write, whose one transaction is rolled back at the end.

    So nothing that is done in it is seen by anybody else. A statement may take `limit_s` seconds
    and wait `lock_wait_s` for a lock.
    """
    # Closed without a commit: the server rolls back what is open then, also when we are killed.
    with errors(target), closing(_connect(target, "")) as connected:
        bound(connected, limit_s=limit_s, lock_wait_s=lock_wait_s)
        yield connected


def bound(database: Connection, *, limit_s: float, lock_wait_s: float) -> None:
    """Bound each statement of the transaction under way, in seconds."""
    database.execute(
        "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)",
        [str(round(limit_s * 1000)), str(round(lock_wait_s * 1000))],
    )


def _connect(target: Target, database: str) -> Connection:
    return psycopg.connect(
        make_conninfo(target.database.url, **({"dbname": database} if database else {})),
        # libpq rounds anything below 2 s up to 2 s
        connect_timeout=max(2, round(target.time_limit_s)),
        application_name=APPLICATION,
        row_factory=psycopg.rows.dict_row,
        cursor_factory=_Cursor,
    )


@contextmanager
def errors(target: Target, *, bounded: bool = True) -> Iterator[None]:
    """Map what psycopg raises within to ServiceErrors: the one place that knows its exceptions.

    `bounded` says whether a cancelled statement was cancelled by the target's time limit.
    """
    if not target.database.url:
        message = f"Target {target.name} names no database: set database_url in opsnb.toml."
        raise NotConfigured(SYSTEM, message)
    try:
        yield
    except ServiceError:
        raise
    except psycopg.Error as error:
        raise _mapped(target, error, bounded=bounded) from error


_FULL = re.compile(r"too many (?:clients|connections)|remaining connection slots")


def _mapped(target: Target, error: psycopg.Error, *, bounded: bool) -> ServiceError:
    where = f"PostgreSQL at {place(target)}"
    told: ServiceError
    match error:
        case psycopg.errors.QueryCanceled() if not bounded:
            told = BadAnswer(SYSTEM, f"{where} ended the statement: {reason(error)}.")
        case psycopg.errors.ConnectionTimeout() | psycopg.errors.QueryCanceled():
            told = TimedOut(SYSTEM, f"{where} did not answer within {target.time_limit_s:g} s.")
        case psycopg.errors.LockNotAvailable():
            told = TimedOut(
                SYSTEM,
                f"{where} gave no lock in time, because another session holds it; find it with: "
                f"opsnb run database/connections -t {target.name}",
            )
        case psycopg.errors.InsufficientPrivilege():
            told = BadAnswer(
                SYSTEM,
                f"{where} does not allow it: {reason(error)}; use a login that may, in the "
                f"database_url of target {target.name}.",
            )
        case psycopg.errors.ReadOnlySqlTransaction():
            told = BadAnswer(SYSTEM, f"{where} is read-only; run this on the primary.")
        case psycopg.errors.DiskFull():
            told = BadAnswer(SYSTEM, f"{where} has no disk space left: {reason(error)}.")
        case psycopg.errors.ObjectInUse():
            told = BadAnswer(SYSTEM, f"{where} does not let go: {reason(error)}.")
        case psycopg.errors.AdminShutdown() | psycopg.errors.CrashShutdown():
            told = Unreachable(SYSTEM, f"{where} ended the connection: {reason(error)}.")
        case psycopg.OperationalError() if _FULL.search(str(error)):  # no SQLSTATE at connecting
            told = Unreachable(
                SYSTEM,
                f"{where} has no connection left: {reason(error)}. Restart the process that "
                f"holds most of them: opsnb run incidents/service_down -t {target.name} "
                "-p process=NAME --apply",
            )
        case psycopg.OperationalError() if "FATAL:" in str(error):  # it was reached, and said no
            why = reason(error)
            told = Unreachable(SYSTEM, f"{where} refuses: {why}. Correct database_url.")
        case psycopg.OperationalError():
            told = Unreachable(SYSTEM, f"{where} cannot be reached: {reason(error)}.")
        case _:
            told = BadAnswer(SYSTEM, f"{where} answered with an error: {reason(error)}.")
    return told


def identity(database: Connection) -> tuple[str, ...]:
    """Return what tells this server and database from any other, also after a failover."""
    row = database.execute(
        "SELECT current_database() AS name, host(inet_server_addr()) AS host,"
        " inet_server_port()::text AS port, pg_postmaster_start_time()::text AS started"
    ).fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    return tuple(str(value) for value in row.values())


def demand_primary(target: Target, database: Connection) -> None:
    """Raise BadAnswer on a replica, where nothing can be changed."""
    row = database.execute("SELECT pg_is_in_recovery() AS replica").fetchone()
    if row and row["replica"]:
        message = f"PostgreSQL at {place(target)} is a read-only replica; run this on the primary."
        raise BadAnswer(SYSTEM, message)


def database_of(target: Target) -> str:
    """Return the name of the target's database."""
    with connection(target) as database:
        return database.info.dbname


def program(target: Target, name: str) -> str:
    """Return the path of PostgreSQL's client program `name`, or its bare name for the PATH."""
    return str(Path(target.database.programs, name)) if target.database.programs else name


def program_version(target: Target, name: str) -> int:
    """Return the major version of a client program.

    Raises OSError with a sentence when it cannot be run, BadAnswer when it tells no version.
    """
    path = program(target, name)
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise OSError(f"{path} cannot be run on this machine: {error}") from error
    version = re.search(r"\d+", told)
    if version is None:
        raise BadAnswer(SYSTEM, f"{path} --version does not tell its version.")
    return int(version[0])


def environment(target: Target, database: str = "") -> dict[str, str]:
    """Return the environment with which PostgreSQL's programs reach the target.

    Host, login and password go this way alone: any user of the machine can read an argument list.
    """
    told = {
        option.envvar.decode(): option.val.decode()
        for option in Conninfo.parse(target.database.url.encode())
        if option.envvar and option.val
    }
    told |= {
        "PGAPPNAME": APPLICATION,
        "PGCONNECT_TIMEOUT": str(max(2, round(target.time_limit_s))),
    }
    if database:
        told["PGDATABASE"] = database
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    # The last line that a program says is quoted to the engineer and searched for known words.
    return {**inherited, **told, "LC_ALL": "C"}


def place(target: Target) -> str:
    """Return host, port and database of the target, without the login."""
    try:
        parts = conninfo_to_dict(target.database.url)
    except psycopg.ProgrammingError:
        return safe_url(target.database.url)
    host, port = parts.get("host", "localhost"), parts.get("port", 5432)
    return f"{host}:{port}/{parts.get('dbname', '')}"


def reason(error: psycopg.Error) -> str:
    """Return what the server or the system said, in one line, without the address."""
    text = (error.diag.message_primary or str(error)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    for marker in ("FATAL:", "ERROR:", "failed:"):
        first = first.rpartition(marker)[2].strip() or first
    return first.rstrip(".")
