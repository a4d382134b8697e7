"""Cursors that put opsnb's mark on every statement, and read names that PostgreSQL has cut."""

from __future__ import annotations

from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.abc import AdaptContext, Buffer, Query
from psycopg.adapt import Loader

from opsnb.redaction import outside

OUR_MARK = "/* opsnb */"
"""Ends every statement of opsnb, so that none is taken for the service's.

At the end: since version 18, statistics drop a comment before the statement.
"""

MARKED = f"%{OUR_MARK}%"
"""The LIKE pattern of such a statement."""

_NAME_BYTES = 63
_WIDEST = 4  # bytes of a character, which is never cut within
_LONGEST_RELATION = 2 * _NAME_BYTES + len('"".""')

Connection = psycopg.Connection[dict[str, Any]]


class Cursor(psycopg.Cursor[dict[str, Any]]):
    """Puts opsnb's mark behind every statement."""

    is_single = False
    """Whether it uses the protocol that takes one statement only, without a name for it."""

    def execute(self, query: Query, *args: Any, **kwargs: Any) -> Self:
        """Run a statement, marked as opsnb's."""
        return super().execute(_marked(query), *args, **kwargs)

    def _execute_send(self, query: Any, *, force_extended: bool = False, **kwargs: Any) -> None:
        super()._execute_send(query, force_extended=force_extended or self.is_single, **kwargs)


class Text(Loader):
    """Reads text even if its bytes are invalid in its encoding: in SQL_ASCII, or cut.

    PostgreSQL cuts long names, an application's for example, and does not say so. The rest of a
    secret in such a name would not be recognised as one.
    """

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        known = self.connection.info.encoding if self.connection else "utf-8"
        self._encoding = "utf-8" if known == "ascii" else known

    def load(self, data: Buffer) -> str:
        """Return the text, without the rest of a secret that was cut."""
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
    """Run one statement that comes from outside; PostgreSQL refuses a text of several."""
    cursor = database.cursor()
    assert isinstance(cursor, Cursor)
    cursor.is_single = True
    return cursor.execute(statement.encode())
