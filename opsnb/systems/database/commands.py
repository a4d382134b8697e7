"""Long commands: each in a connection of its own, watched from another, cancelled when given up."""

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
from opsnb.systems.database.access import SYSTEM, Connection, connection, place
from opsnb.systems.database.failures import of_result
from opsnb.systems.database.sight import granted, login
from opsnb.view.formats import counted
from opsnb.view.terminal import visible

_POLL_S = 0.1
_LOOK_EVERY_S = 1.0
_TELL_EVERY_S = 5.0
_SILENCE_S = 30.0
_CANCEL_S = 5.0

_UNDER_WAY = """
    SELECT pid, command, phase, done, total, relid::regclass::text AS relation
    FROM (
        SELECT pid, 'ANALYZE' AS command, phase, relid, datid,
            sample_blks_scanned AS done, sample_blks_total AS total
        FROM pg_stat_progress_analyze
        UNION ALL
        SELECT pid, 'VACUUM', phase, relid, datid, heap_blks_scanned, heap_blks_total
        FROM pg_stat_progress_vacuum
        UNION ALL
        SELECT pid, command, phase, relid, datid, blocks_done, blocks_total
        FROM pg_stat_progress_create_index
    ) AS commands
    WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY pid LIMIT 50
"""


def progress(target: Target) -> list[Row]:
    """Maintenance that is under way"""
    with connection(target) as database:
        rows = database.execute(_UNDER_WAY).fetchall()
        hidden = [row for row in rows if row["phase"] is None]
        if hidden:
            evidence.partial(
                f"login {login(database)} may not see how far the maintenance of other roles is "
                f"({counted(len(hidden), 'command')}); {granted(database)}"
            )
    return [row for row in rows if row["phase"] is not None]


def run(target: Target, database: Connection, statement: sql.Composable) -> Iterator[None]:
    """Run one statement, and yield again and again until it has ended.

    Every few seconds it tells how far the server is. When the caller gives up (Ctrl-C too) the
    statement is cancelled on the server. Raises psycopg.Error, and TimedOut when the server says
    nothing for half a minute.
    """
    row = database.execute("SELECT pg_backend_pid() AS pid").fetchone()
    return run_while(database, statement, _Watch(target, row["pid"] if row else 0).look)


def run_while(
    database: Connection, statement: sql.Composable, meanwhile: Callable[[], object]
) -> Iterator[None]:
    """Run one statement as `run` does, and call `meanwhile` again and again until it has ended."""
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
    """Take the results, and raise the first error that is among them."""
    failure: psycopg.Error | None = None
    while result := database.pgconn.get_result():
        if result.status == ExecStatus.FATAL_ERROR and failure is None:
            failure = psycopg.errors.error_from_result(result)
    if failure is not None:
        raise of_result(failure)


def _cancel(database: Connection) -> None:
    """Cancel what runs on `database`, and wait a moment for its end."""
    try:
        database.cancel_safe(timeout=_CANCEL_S)
        ends = time.monotonic() + _CANCEL_S
        while database.pgconn.is_busy() and time.monotonic() < ends:
            time.sleep(_POLL_S)
            database.pgconn.consume_input()
    except psycopg.Error:
        return  # the server is gone, and the statement with it


class _Watch:
    """Looks from another connection how far a command is, and whether the server lives."""

    def __init__(self, target: Target, pid: int) -> None:
        self._target = target
        self._pid = pid
        self._heard = self._looked = self._told = time.monotonic()

    def look(self) -> None:
        """Look, when it is time to. Raises TimedOut after a long silence."""
        if time.monotonic() - self._looked < _LOOK_EVERY_S:
            return
        try:
            with connection(self._target) as database:
                under_way = database.execute(_UNDER_WAY).fetchall()
            rows = [row for row in under_way if row["pid"] == self._pid and row["phase"]]
            self._heard = time.monotonic()
        except ServiceError:
            rows = []  # the command's own connection will tell when it is lost
        self._looked = time.monotonic()
        if self._looked - self._heard > _SILENCE_S:
            raise TimedOut(
                SYSTEM,
                f"PostgreSQL at {place(self._target)} says nothing any more; "
                "whether the command goes on there is not known.",
            )
        if rows and self._looked - self._told > _TELL_EVERY_S:
            self._told = self._looked
            print(visible(_words(rows[0])))  # noqa: T201 - the notebook's output is where progress is read


def _words(row: Row) -> str:
    share = f", {100 * row['done'] / row['total']:.0f} %" if row["total"] else ""
    return f"{row['command']} {row['relation']}: {row['phase']}{share}"
