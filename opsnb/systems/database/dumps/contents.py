"""What a dump holds: its rows, tables, extensions and owners."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from opsnb.redaction import outside
from opsnb.systems.database.dumps.script import Statement
from opsnb.systems.database.dumps.tokens import Token

Rows = dict[tuple[str, str], int]
"""How many rows each (schema, table) has."""

LARGE_OBJECTS = ("pg_catalog", "pg_largeobject_metadata")
"""The table by which large objects are counted."""

Role = Literal[
    "skip", "set", "needed", "row", "owner", "extra", "extension", "last", "tail", "transaction"
]
"""What becomes of a statement when it is restored.

`needed` must succeed; `extra` may be left out when the login may not; `last` is done after all
others, so that nothing of the dump's own code runs meanwhile.
"""


@dataclass(frozen=True)
class Meaning:
    """What a statement is about."""

    role: Role
    subject: str = ""
    """What it makes or changes: `extension hstore`, `view public.v`."""
    owner: str = ""
    """The login that it gives it to."""
    table: tuple[str, str] | None = None
    """Where its rows go."""


class Unsafe(Exception):
    """The dump says more than data; the message says where, what, and why that is refused."""

    def __init__(self, line: int, word: str, why: str) -> None:
        super().__init__(f"`{word}` {why}")
        self.line = line


@dataclass
class Contents:
    """What was read of a dump."""

    rows: Rows = field(default_factory=dict)
    tables: set[tuple[str, str]] = field(default_factory=set)
    extensions: set[str] = field(default_factory=set)
    owners: dict[str, list[str]] = field(default_factory=dict)
    """What belongs to each login."""
    superusers_only: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    """Event triggers and subscriptions."""
    tablespaces: set[str] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    """Functions that it calls and pg_dump does not, by the line; none of them may exist."""
    database_major: int | None = None
    """The version of the server that it was made of."""

    @property
    def total(self) -> int:
        """All rows and large objects."""
        return sum(self.rows.values())

    @property
    def words(self) -> str:
        """How many rows in how many tables, for a person."""
        rows = dict(self.rows)
        objects = rows.pop(LARGE_OBJECTS, 0)
        count, tables = sum(rows.values()), len(rows)
        told = f"{count:,} row{'' if count == 1 else 's'} in {tables:,} table"
        told += "" if tables == 1 else "s"
        return told + (f" and {objects:,} large object{'s' * (objects != 1)}" if objects else "")


LONGEST_WORD = 60


def unsafe(statement: Statement, token: Token, why: str, upto: int = 1) -> Unsafe:
    """Return the refusal of a statement, quoting `upto` words from `token` on."""
    place = statement.tokens.index(token)
    written = [each.text for each in statement.tokens[place : place + upto]]
    word = " ".join(text.upper() if upto > 1 else text for text in written)
    return Unsafe(statement.line_at(token.offset), outside.head(word, LONGEST_WORD), why)
