"""Filling a scratch database from a dump: statement by statement, by opsnb itself.

No psql takes part, so that nothing in a dump can be a command to it, and the server gets each
statement as one, so that it can be no more than it was judged to be.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import ExecStatus

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.systems.database.access import SYSTEM, Connection, reason, session
from opsnb.systems.database.archives import Archive, reading
from opsnb.systems.database.contents import Meaning, steps
from opsnb.systems.database.failures import of_result
from opsnb.systems.database.lexing import CopyEnd, CopyRows, Statement

_POLL_S = 0.1
_LOCK_WAIT_S = 60.0
_INSERTS_AT_ONCE = 1000
_CANCEL_S = 5.0

_LACKING = frozenset({"42501", "42704", "58P01", "0A000", "22023", "0LP01", "42939", "42P17"})
"""The login may not, there is no such role, or the server lacks it."""
_DEPENDING = frozenset({"42P01", "42883", "42704", "3F000", "42703", "0A000", "42501"})
"""What it stands on is not there."""
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


@dataclass
class LeftOut:
    """What was not restored as the dump has it, and why."""

    missing: dict[str, str] = field(default_factory=dict)
    """Subject to reason."""
    given: dict[str, list[str]] = field(default_factory=dict)
    """What belongs to this login in place of another, by the other."""
    last: list[tuple[Statement, Meaning]] = field(default_factory=list)
    """What is still to be done, when the rows were counted."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.given)

    def add(self, meaning: Meaning, why: str) -> None:
        """Note a statement that failed, unless it is about something that is missing already."""
        if meaning.role == "owner":
            if meaning.subject not in self.missing:
                self.given.setdefault(meaning.owner, []).append(meaning.subject)
        elif not any(meaning.subject.endswith(subject) for subject in self.missing):
            self.missing[meaning.subject] = why

    def sentence(self, login: str) -> str:
        """Return all of it for a person, as one sentence without its full stop."""
        parts = [f"{what} ({why})" for what, why in self.missing.items()]
        left = f"left out: {_listed(parts)}" if parts else ""
        owned = [
            f"{_listed(subjects)} of {owner}" for owner, subjects in sorted(self.given.items())
        ]
        given = f"given to {login}, which is no member of the owner: " if owned else ""
        told = "; ".join(part for part in (left, given + "; ".join(owned)) if part)
        return told[:1].upper() + told[1:]


def public_owner(server: Connection) -> str:
    """Return who owns the schema public of a database."""
    row = server.execute(
        "SELECT pg_get_userbyid(nspowner) AS name FROM pg_namespace WHERE nspname = 'public'"
    ).fetchone()
    return str(row["name"]) if row else ""


def _listed(words: list[str], most: int = 8) -> str:
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def filled(
    target: Target, permit: Permit, archive: Archive, name: str, left_out: LeftOut
) -> Iterator[None]:
    """Restore the dump into database `name`, and give the planner its statistics.

    What this login may not make, and no data needs, goes to `left_out`. Raises BadAnswer when
    anything else cannot be restored.
    """
    with session(target, permit, database=name, lock_wait_s=_LOCK_WAIT_S) as server:
        server.pgconn.nonblocking = 0
        filling = _Filling(server, archive, left_out)
        with reading(archive):
            for item in steps(archive.text(target)):
                yield from filling.take(item)
        yield from filling.finish()


def finished(
    target: Target, permit: Permit, archive: Archive, name: str, left_out: LeftOut
) -> Iterator[None]:
    """Do what comes last: event triggers, which nothing sets off then, and forced policies."""
    if left_out.last:
        with session(target, permit, database=name, lock_wait_s=_LOCK_WAIT_S) as server:
            server.pgconn.nonblocking = 0
            yield from _Filling(server, archive, left_out).finish_last()


class _Filling:
    """One dump on its way into one database."""

    def __init__(self, server: Connection, archive: Archive, left_out: LeftOut) -> None:
        self._server = server
        self._archive = archive
        self._left_out = left_out
        self._inserted = 0
        self._copying: Statement | None = None
        rows = server.execute("SELECT name FROM pg_settings").fetchall()
        self._known = {str(row["name"]).lower() for row in rows}
        for setting, value in _SETTINGS.items():
            if setting in self._known:
                server.execute("SELECT set_config(%s, %s, false)", [setting, value])
        rows = server.execute(
            "SELECT spcname AS name FROM pg_tablespace"
            " WHERE has_tablespace_privilege(oid, 'CREATE')"
        ).fetchall()
        self._tablespaces = {"", *(str(row["name"]) for row in rows)}

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
        """Do what was put off."""
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
                    return  # of a newer version than this server
                if (
                    meaning.subject == "default_tablespace"
                    and meaning.owner not in self._tablespaces
                ):
                    why = "it is not there, or this login may not use it"
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
        """Whether the schema public, which every database has, belongs to whom it should."""
        if meaning.role != "owner" or meaning.subject != "schema public":
            return False
        return public_owner(self._server) == meaning.owner

    def _commit(self) -> None:
        if self._inserted:
            self._server.pgconn.exec_(b"COMMIT")
            self._inserted = 0

    def _sent(self, text: bytes) -> Iterator[None]:
        """Have the server run one statement; it refuses a text that holds more."""
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
        """Wait until the server has answered; cancel what it does when the caller gives up."""
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
    """Say where in the dump a statement stands that the server refuses."""
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
    """Whether it is about the server, in the same words wherever it happens: lost, full, locked."""
    code = error.sqlstate or ""
    return not code or code[:2] in ("08", "53", "57", "58") or code == "55P03"
