"""Connections to PostgreSQL, and the environment of its client programs.

No setting of a session is ever changed where a pooler may hand the session on to the service: a
limit holds for one transaction (`SET LOCAL`), and nothing is prepared under a name.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.abc import AdaptContext, Buffer, Query
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from opsnb.actions.action import Permit, require
from opsnb.config.target import Target
from opsnb.errors import (
    BadAnswer,
    Misconfigured,
    NotConfigured,
    Refused,
    ServiceError,
)
from opsnb.redaction import outside
from opsnb.systems.database.failures import SYSTEM, mapped, place, reason
from opsnb.systems.database.settings import Database
from opsnb.systems.database.words import quoted

__all__ = ["SYSTEM", "place", "reason"]

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

_NAME_BYTES = 63
_WIDEST = 4  # bytes of a character, which is never cut within
_LONGEST_RELATION = 2 * _NAME_BYTES + len('"".""')
_OLDER_S = 1.0
_TURNS = 4

Connection = psycopg.Connection[dict[str, Any]]


class _Cursor(psycopg.Cursor[dict[str, Any]]):
    """Puts our mark behind what it executes."""

    is_single = False
    """Whether it goes by the protocol that takes one statement alone, without a name for it."""

    def execute(self, query: Query, *args: Any, **kwargs: Any) -> Self:
        return super().execute(_marked(query), *args, **kwargs)

    def _execute_send(self, query: Any, *, force_extended: bool = False, **kwargs: Any) -> None:
        super()._execute_send(query, force_extended=force_extended or self.is_single, **kwargs)


class _Text(Loader):
    """Reads text also where its bytes are of no encoding: in SQL_ASCII, or cut off.

    PostgreSQL cuts names, such as an application's, and does not say so. What is left there of a
    secret would not be known as one.
    """

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        known = self.connection.info.encoding if self.connection else "utf-8"
        self._encoding = "utf-8" if known == "ascii" else known

    def load(self, data: Buffer) -> str:
        found = bytes(data).decode(self._encoding, "replace")
        if not _NAME_BYTES - _WIDEST < len(data) <= _LONGEST_RELATION:
            return found
        name = found.rstrip('"')
        return outside.ended(name) + '"' * (len(found) - len(name))


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


def single(database: Connection, statement: str) -> psycopg.Cursor[dict[str, Any]]:
    """Run one statement that is not ours; PostgreSQL refuses several in one."""
    cursor = database.cursor()
    assert isinstance(cursor, _Cursor)
    cursor.is_single = True
    return cursor.execute(statement.encode())


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
        connected.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        _bounded_locally(connected, statement_timeout=limit_s or target.time_limit_s)
        yield connected


@contextmanager
def writing(target: Target, permit: Permit) -> Iterator[Connection]:
    """Yield a connection that may write, each statement a transaction of its own.

    It changes no setting of its session, so that it may lead through a pooler. For what is quick,
    and for transactions, which `bound` bounds. Raises Refused without a valid permit.
    """
    require(permit)
    # Closed without a rollback, which would wait for a statement that is still under way.
    with errors(target, bounded=False), closing(_connect(target, "")) as connected:
        connected.autocommit = True
        yield connected


@contextmanager
def session(
    target: Target, permit: Permit, *, database: str = "", lock_wait_s: float = LOCK_WAIT_S
) -> Iterator[Connection]:
    """Yield a session of its own that may write, each statement a transaction of its own.

    By `direct_url` where there is one. A statement may take as long as it needs, but waits for no
    lock longer than `lock_wait_s`. Raises Refused without a valid permit, and through a pooler.
    """
    require(permit)
    with errors(target, bounded=False), closing(_own(target, database)) as connected:
        settings = {"lock_timeout": lock_wait_s, "statement_timeout": 0}
        settings |= dict.fromkeys(_other_limits(connected), 0)
        for name, seconds in settings.items():
            connected.execute("SELECT set_config(%s, %s, false)", [name, _ms(seconds)])
        yield connected


@contextmanager
def rehearsal(target: Target, *, limit_s: float, lock_wait_s: float) -> Iterator[Connection]:
    """Yield a connection that may write, whose one transaction is rolled back at the end.

    So nothing that is done in it is seen by anybody else. A statement may take `limit_s` seconds
    and wait `lock_wait_s` for a lock. Raises BadAnswer where nothing can be written.
    """
    # Closed without a commit: the server rolls back what is open then, also when we are killed.
    with errors(target), closing(_connect(target, "")) as connected:
        bound(connected, limit_s=limit_s, lock_wait_s=lock_wait_s)
        demand_primary(target, connected)
        yield connected


def bound(database: Connection, *, limit_s: float, lock_wait_s: float) -> None:
    """Bound each statement of the transaction under way, in seconds; 0 is no bound."""
    _bounded_locally(database, statement_timeout=limit_s, lock_timeout=lock_wait_s)


def _bounded_locally(database: Connection, **limits: float) -> None:
    """Give the transaction under way our name, its limits, and the formats of what is read."""
    settings = {
        "application_name": APPLICATION,
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "bytea_output": "hex",
        **{name: _ms(seconds) for name, seconds in limits.items()},
        **dict.fromkeys(_other_limits(database), "0"),
    }
    calls = sql.SQL(", ").join(
        sql.SQL("set_config({}, {}, true)").format(name, value) for name, value in settings.items()
    )
    database.execute(sql.SQL("SELECT ") + calls)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _other_limits(database: Connection) -> Iterator[str]:
    """Yield the limits that a role may have besides, and that would end what takes its time."""
    if database.info.server_version >= 170000:
        yield "transaction_timeout"


def _connect(target: Target, database: str, *, direct: bool = False) -> Connection:
    conninfo = Database.of(target).direct_conninfo if direct else Database.of(target).conninfo
    changed = {"dbname": database} if database else {}
    if direct:
        # A pooler would let the service's session keep the name: there it is a transaction's.
        changed["application_name"] = APPLICATION
    connected = psycopg.connect(
        make_conninfo(conninfo, **changed),
        # libpq rounds anything below 2 s up to 2 s
        connect_timeout=max(2, round(target.time_limit_s)),
        # A name for a statement outlives the transaction, and is another client's in a pooler.
        prepare_threshold=None,
        row_factory=psycopg.rows.dict_row,
        cursor_factory=_Cursor,
    )
    for name in ("text", "varchar", "bpchar", "name"):
        connected.adapters.register_loader(name, _Text)
    return connected


def demand_session(target: Target, why: str) -> None:
    """Raise Refused when what needs a session of its own would go through a pooler.

    `why` is the command that needs it. Raises Misconfigured when direct_url leads elsewhere.
    """
    with errors(target), closing(_own(target, "", why)):
        return


def _own(target: Target, database: str, why: str = "This") -> Connection:
    """Return a session that nobody shares, in autocommit mode."""
    began = time.monotonic()
    connected = _connect(target, database, direct=True)
    try:
        connected.autocommit = True
        if Database.of(target).direct_url:
            _demand_same(target, connected, database)
        if has_pooler(connected, began):
            _demand_whole_sessions(target, connected, database, why)
    except BaseException:
        connected.close()
        raise
    return connected


def has_pooler(connected: Connection, began: float) -> bool:
    """Return whether what answers is not the server, but a pooler before it.

    A pooler gives its clients a process id of its own making, or an old session.
    """
    row = connected.execute(
        "SELECT pg_backend_pid() AS pid, (SELECT extract(epoch FROM clock_timestamp()"
        " - backend_start)::float FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS age_s"
    ).fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    ours_s = time.monotonic() - began + _OLDER_S
    return row["pid"] != connected.pgconn.backend_pid or (row["age_s"] or 0) > ours_s


def _demand_whole_sessions(target: Target, connected: Connection, database: str, why: str) -> None:
    """Raise when a pooler hands sessions on between transactions, or when that is not known."""
    if not Database.of(target).direct_url:
        raise Refused(
            f"{why} needs a session of its own, and database_url of target {target.name} leads "
            "through a pooler, which would hand the session's settings on to the service. Set "
            f"direct_url in [targets.{target.name}.database] to the server itself (or, if the "
            "pooler keeps whole sessions apart, to the same URL)."
        )
    # Asked again and again: a pooler may take its servers in turn.
    ours = {_pid(connected) for _ in range(_TURNS)}
    with closing(_connect(target, database, direct=True)) as other:
        theirs = _pid(other)
    if len(ours) > 1 or theirs in ours:
        raise Misconfigured(
            SYSTEM,
            f"direct_url in [targets.{target.name}.database] leads through a pooler that shares "
            "sessions between transactions; set it to the server itself.",
        )


def _pid(database: Connection) -> int:
    row = database.execute("SELECT pg_backend_pid() AS pid").fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    return int(row["pid"])


def _demand_same(target: Target, direct: Connection, database: str) -> None:
    """Raise Misconfigured when `direct_url` leads to another database than `database_url`."""
    with closing(_connect(target, "")) as usual:
        found = [whereabouts(each) for each in (usual, direct)]
    if database:  # another one of the same server was asked for
        found = [(started, "") for started, _ in found]
    if found[0] != found[1]:
        raise Misconfigured(
            SYSTEM,
            f"direct_url in [targets.{target.name}.database] leads to another server or database "
            "than database_url; correct it.",
        )


def whereabouts(database: Connection) -> tuple[str, str]:
    """Return when the server was started, to the microsecond, and the database's name."""
    row = database.execute(
        "SELECT extract(epoch FROM pg_postmaster_start_time())::text AS started,"
        " current_database()::text AS name"
    ).fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    return row["started"], row["name"]


@contextmanager
def errors(target: Target, *, bounded: bool = True) -> Iterator[None]:
    """Map what psycopg raises within to ServiceErrors: the one place that knows its exceptions.

    `bounded` says whether a cancelled statement was cancelled by the target's time limit.
    """
    if not Database.of(target).url:
        message = f"Target {target.name} names no database: set database_url in opsnb.toml."
        raise NotConfigured(SYSTEM, message)
    try:
        yield
    except ServiceError:
        raise
    except psycopg.Error as error:
        failure = mapped(target, error, bounded=bounded)
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            _explain_read_only(target)
        raise failure from error


def _explain_read_only(target: Target) -> None:
    """Raise the reason why nothing can be written, when it can be found."""
    try:
        with closing(_connect(target, "")) as connected:
            demand_primary(target, connected)
    except psycopg.Error:
        return  # what was said first stands


def identity(database: Connection) -> tuple[str, ...]:
    """Return what tells this server and database from any other, also after a failover."""
    row = database.execute(
        "SELECT current_database() AS name, host(inet_server_addr()) AS host,"
        " inet_server_port()::text AS port, pg_postmaster_start_time()::text AS started"
    ).fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    return tuple(str(value) for value in row.values())


def demand_primary(target: Target, database: Connection) -> None:
    """Raise BadAnswer on a replica, where nothing can be changed.

    Raises Misconfigured when the login, or the database for it, is read-only by default.
    """
    row = database.execute(
        "SELECT pg_is_in_recovery() AS replica, current_user AS login,"
        " current_database() AS database, setting = 'on' AS read_only, source"
        " FROM pg_settings WHERE name = 'default_transaction_read_only'"
    ).fetchone()
    if row and row["replica"]:
        message = f"PostgreSQL at {place(target)} is a read-only replica; run this on the primary."
        raise BadAnswer(SYSTEM, message)
    if row and row["read_only"]:
        raise Misconfigured(SYSTEM, _read_only(target, row))


def _read_only(target: Target, row: dict[str, Any]) -> str:
    """Say who made the login's transactions read-only, and how to undo it."""
    name = "default_transaction_read_only"
    login, base = (quoted(row[key]) for key in ("login", "database"))
    other = "use another login in database_url"
    match row["source"]:
        case "user":
            return f"Login {login} has {name} = on; {other}, or ALTER ROLE {login} RESET {name}."
        case "database user":
            return (
                f"Login {login} has {name} = on in database {base}; {other}, or "
                f"ALTER ROLE {login} IN DATABASE {base} RESET {name}."
            )
        case "database":
            return (
                f"Database {base} has {name} = on; to undo it: ALTER DATABASE {base} RESET {name}."
            )
        case "client" | "environment variable":
            return f"The options of database_url set {name} = on for login {login}; leave that out."
        case _:
            return (
                f"PostgreSQL at {place(target)} has {name} = on for every login; set it to off "
                "in its configuration."
            )


def name_of(database: Connection) -> str:
    """Return the database's own name; a pooler may have it under another."""
    name: str = whereabouts(database)[1]
    return name


def database_of(target: Target) -> str:
    """Return the name of the target's database."""
    with connection(target) as database:
        return whereabouts(database)[1]


def program(target: Target, name: str) -> str:
    """Return the path of PostgreSQL's client program `name`, or its bare name for the PATH."""
    return str(Path(Database.of(target).programs, name)) if Database.of(target).programs else name


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

    By `direct_url` where there is one: they change their session's settings. Host, login and
    password go this way alone: any user of the machine can read an argument list.
    """
    told = {
        option.envvar.decode(): option.val.decode()
        for option in Conninfo.parse(Database.of(target).direct_conninfo.encode())
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
