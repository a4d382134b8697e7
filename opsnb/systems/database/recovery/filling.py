"""Filling a scratch database from a dump, statement by statement, by opsnb itself.

Without psql, so that nothing in a dump can be a command to it. The server gets each statement by
the protocol that takes one only, so that it cannot be more than it was judged to be.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.pq import ExecStatus

from opsnb.errors import BadAnswer
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.archives import Archive, reading
from opsnb.systems.database.dumps.contents import Meaning
from opsnb.systems.database.dumps.judging import steps
from opsnb.systems.database.dumps.statements import CopyEnd, CopyRows, Statement
from opsnb.systems.database.failures import SYSTEM, of_result, reason
from opsnb.systems.database.recovery.leftout import LeftOut, public_owner

_POLL_S = 0.1
LOCK_WAIT_S = 60.0
_INSERTS_AT_ONCE = 1000
_CANCEL_S = 5.0

_LACKING = frozenset({"42501", "42704", "58P01", "0A000", "22023", "0LP01", "42939", "42P17"})
"""The login may not, the role does not exist, or the server lacks the feature."""
_DEPENDING = frozenset({"42P01", "42883", "42704", "3F000", "42703", "0A000", "42501"})
"""An object that it depends on does not exist."""
_PRIVILEGE = "42501"

_SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_read_only": "off",
    "transaction_read_only": "off",
    "standard_conforming_strings": "on",
    "synchronous_commit": "off",
}


def fill(server: Connection, archive: Archive, left_out: LeftOut) -> Iterator[None]:
    """Restore the dump into the connection's database, and give the planner its statistics.

    Objects that this login may not create, and that no data depends on, go to `left_out`. Raises
    BadAnswer if anything else cannot be restored.
    """
    filling = _Filling(server, archive, left_out)
    with reading(archive):
        for item in steps(archive.text()):
            yield from filling.take(item)
    yield from filling.finish()


def finish(server: Connection, archive: Archive, left_out: LeftOut) -> Iterator[None]:
    """Restore what comes last: event triggers, so that none fires earlier, and forced policies."""
    yield from _Filling(server, archive, left_out).finish_last()


class _Filling:
    """One dump being restored into one database."""

    def __init__(self, server: Connection, archive: Archive, left_out: LeftOut) -> None:
        self._server = server
        server.pgconn.nonblocking = 0
        self._archive = archive
        self._left_out = left_out
        self._inserted = 0
        self._copying: Statement | None = None
        rows = server.execute("SELECT name FROM pg_settings").fetchall()
        self._known = {str(row["name"]).lower() for row in rows}
        for setting, value in _SETTINGS.items():
            if setting in self._known:
                server.execute("SELECT set_config(%s, %s, false)", [setting, value])
        self._tablespaces = {"", *(row["name"] for row in queries.rows(server, "tablespaces"))}

    def take(self, item: tuple[Statement, Meaning] | CopyRows | CopyEnd) -> Iterator[None]:
        """Do one step."""
        match item:
            case CopyRows():
                with _placed(self._archive, self._copying):
                    self._server.pgconn.put_copy_data(item.data)
                yield
            case CopyEnd():
                with _placed(self._archive, self._copying):
                    self._server.pgconn.put_copy_end()
                    yield from self._results()
            case statement, meaning:
                yield from self._statement(statement, meaning)

    def finish(self) -> Iterator[None]:
        """Give the planner its statistics."""
        self._commit()
        yield from self._sent(b"ANALYZE")

    def finish_last(self) -> Iterator[None]:
        """Run the statements that were put off."""
        for statement, meaning in self._left_out.last:
            yield from self._tried(statement, meaning)

    def _statement(self, statement: Statement, meaning: Meaning) -> Iterator[None]:
        text = statement.text
        if meaning.role == "row" and not statement.starts_copy:
            if self._inserted == 0:
                self._server.pgconn.exec_(b"BEGIN")
            self._inserted += 1
            with _placed(self._archive, statement):
                yield from self._sent(text)
            if self._inserted >= _INSERTS_AT_ONCE:
                self._commit()
            return
        self._commit()
        match meaning.role:
            case "skip":
                return
            case "last":
                self._left_out.last.append((statement, meaning))
                return
            case "set":
                if meaning.subject.lower() not in self._known:
                    return  # a setting of a newer version than this server
                if (
                    meaning.subject == "default_tablespace"
                    and meaning.owner not in self._tablespaces
                ):
                    why = "it does not exist, or this login may not use it"
                    self._left_out.missing[f"tablespace {meaning.owner}"] = why
                    text = b"SET default_tablespace = ''"
            case "needed" if meaning.subject == "schema public":
                text = b"CREATE SCHEMA IF NOT EXISTS public"
        self._copying = statement if statement.starts_copy else None
        if meaning.role in ("owner", "extra", "extension", "tail"):
            yield from self._tried(statement, meaning)
            return
        with _placed(self._archive, statement):
            yield from self._sent(text)

    def _tried(self, statement: Statement, meaning: Meaning) -> Iterator[None]:
        """Run a statement that may be left out."""
        try:
            yield from self._sent(statement.text)
        except psycopg.Error as error:
            bearable = _LACKING | (_DEPENDING if self._left_out else frozenset())
            if meaning.role == "tail":
                bearable = _DEPENDING if self._left_out else frozenset({_PRIVILEGE})
            if error.sqlstate not in bearable:
                with _placed(self._archive, statement):
                    raise
            if not self._has_owner(meaning):
                self._left_out.add(meaning, reason(error))

    def _has_owner(self, meaning: Meaning) -> bool:
        """Whether the schema public, which every database has, belongs to its owner in the dump."""
        if meaning.role != "owner" or meaning.subject != "schema public":
            return False
        return public_owner(self._server) == meaning.owner

    def _commit(self) -> None:
        if self._inserted:
            self._server.pgconn.exec_(b"COMMIT")
            self._inserted = 0

    def _sent(self, text: bytes) -> Iterator[None]:
        """Have the server run one statement; it refuses a text of several."""
        self._server.pgconn.send_query_params(text, None)
        yield from self._results()

    def _results(self) -> Iterator[None]:
        server = self._server.pgconn
        failure: psycopg.Error | None = None
        while True:
            if server.is_busy():
                yield from self._waited()
            result = server.get_result()
            if result is None or result.status == ExecStatus.COPY_IN:
                break
            if result.status == ExecStatus.FATAL_ERROR and failure is None:
                failure = psycopg.errors.error_from_result(result)
        if failure is not None:
            raise of_result(failure)

    def _waited(self) -> Iterator[None]:
        """Wait until the server has answered; cancel the statement if the caller gives up."""
        server = self._server.pgconn
        try:
            with selectors.DefaultSelector() as waiting:
                waiting.register(server.socket, selectors.EVENT_READ)
                while server.is_busy():
                    if waiting.select(_POLL_S):
                        server.consume_input()
                    else:
                        yield
        except psycopg.Error:
            raise
        except BaseException:
            with suppress(psycopg.Error):
                self._server.cancel_safe(timeout=_CANCEL_S)
            raise


@contextmanager
def _placed(archive: Archive, statement: Statement | None) -> Iterator[None]:
    """Say where in the dump the statement is that the server refuses."""
    try:
        yield
    except psycopg.Error as error:
        if statement is None or _is_of_the_server(error):
            raise
        raise BadAnswer(
            SYSTEM,
            f"{archive.path}, {archive.line(statement.line)} cannot be restored: {reason(error)}.",
        ) from error


def _is_of_the_server(error: psycopg.Error) -> bool:
    """Whether the error is about the server and not the statement: lost, full, locked."""
    code = error.sqlstate or ""
    return not code or code[:2] in ("08", "53", "57", "58") or code == "55P03"
