"""Long commands: run on one connection, watched from another, cancelled if the caller gives up."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterator

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import ServiceError, TimedOut
from opsnb.model import Row
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM, of_result, place
from opsnb.systems.database.sight import granted, login
from opsnb.view.formats import counted
from opsnb.view.terminal import visible

_POLL_S = 0.1
_CHECK_EVERY_S = 1.0
_REPORT_EVERY_S = 5.0
_SILENCE_S = 30.0
_CANCEL_S = 5.0


def progress(target: Target) -> list[Row]:
    """Maintenance in progress"""
    with connection(target) as database:
        rows = queries.rows(database, "maintenance")
        hidden = [row for row in rows if row["phase"] is None]
        if hidden:
            evidence.partial(
                f"login {login(database)} may not see the progress of other roles' maintenance "
                f"({counted(len(hidden), 'command')}); {granted(database)}"
            )
    return [row for row in rows if row["phase"] is not None]


def run(target: Target, database: Connection, statement: sql.Composable) -> Iterator[None]:
    """Run one statement, yielding again and again until it has ended.

    Every few seconds it prints the progress. If the caller gives up (Ctrl-C too), the statement is
    cancelled on the server. Raises psycopg.Error, and TimedOut if the server does not respond for
    half a minute.
    """
    (row,) = database.execute("SELECT pg_backend_pid() AS pid")
    return run_while(database, statement, _Watch(target, row["pid"]).check)


def run_while(
    database: Connection, statement: sql.Composable, meanwhile: Callable[[], object]
) -> Iterator[None]:
    """Run one statement as `run` does, calling `meanwhile` again and again until it has ended."""
    server = database.pgconn
    server.send_query(statement.as_bytes(database))
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(server.socket, selectors.EVENT_READ)
            server.flush()
            while server.is_busy():
                if waiting.select(_POLL_S):
                    server.consume_input()
                else:
                    meanwhile()
                    yield
    except psycopg.Error:
        raise
    except BaseException:
        _cancel(database)
        raise
    _demand_success(database)


def _demand_success(database: Connection) -> None:
    """Read the results, and raise the first error among them."""
    failure: psycopg.Error | None = None
    while result := database.pgconn.get_result():
        if result.status == ExecStatus.FATAL_ERROR and failure is None:
            failure = psycopg.errors.error_from_result(result)
    if failure is not None:
        raise of_result(failure)


def _cancel(database: Connection) -> None:
    """Cancel the statement that runs on `database`, and wait a moment for its end."""
    try:
        database.cancel_safe(timeout=_CANCEL_S)
        ends = time.monotonic() + _CANCEL_S
        while database.pgconn.is_busy() and time.monotonic() < ends:
            time.sleep(_POLL_S)
            database.pgconn.consume_input()
    except psycopg.Error:
        return  # the server is gone, and the statement with it


class _Watch:
    """Follows a command from other connections: its progress, and whether the server responds."""

    def __init__(self, target: Target, pid: int) -> None:
        self._target = target
        self._pid = pid
        self._answered = self._checked = self._reported = time.monotonic()

    def check(self) -> None:
        """Check the command, at most once a second. Raises TimedOut after a long silence."""
        if time.monotonic() - self._checked < _CHECK_EVERY_S:
            return
        try:
            with connection(self._target) as database:
                running = queries.rows(database, "maintenance")
            rows = [row for row in running if row["pid"] == self._pid and row["phase"]]
            self._answered = time.monotonic()
        except ServiceError:
            rows = []  # if the server is lost, the command's own connection raises that
        self._checked = time.monotonic()
        if self._checked - self._answered > _SILENCE_S:
            raise TimedOut(
                SYSTEM,
                f"PostgreSQL at {place(self._target)} does not respond any more; "
                "whether the command still runs there is unknown.",
            )
        if rows and self._checked - self._reported > _REPORT_EVERY_S:
            self._reported = self._checked
            print(visible(_words(rows[0])))  # noqa: T201 - the notebook's output is where progress is read


def _words(row: Row) -> str:
    share = f", {100 * row['done'] / row['total']:.0f} %" if row["total"] else ""
    return f"{row['command']} {row['relation']}: {row['phase']}{share}"
