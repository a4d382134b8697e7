"""What a dump holds: its rows, tables, extensions and owners."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from opsnb.redaction import outside
from opsnb.systems.database.dumps.statements import Statement
from opsnb.systems.database.dumps.tokens import Token
from opsnb.view.formats import counted

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
    """The dump is more than data; the message says where, what, and why that is refused."""

    def __init__(self, line: int, word: str, why: str) -> None:
        super().__init__(f"`{word}` {why}")
        self.line = line


@dataclass
class Contents:
    """The contents of a dump, as far as it was read."""

    rows: Rows = field(default_factory=dict)
    tables: set[tuple[str, str]] = field(default_factory=set)
    extensions: set[str] = field(default_factory=set)
    owners: dict[str, list[str]] = field(default_factory=dict)
    """The objects of each login."""
    superusers_only: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    """Event triggers and subscriptions."""
    tablespaces: set[str] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    """Functions that it calls and pg_dump does not, with the line; none of them may exist."""
    database_major: int | None = None
    """The major version of the server that it was dumped from."""

    @property
    def total(self) -> int:
        """All rows and large objects."""
        return sum(self.rows.values())

    @property
    def words(self) -> str:
        """How many rows in how many tables, for a person."""
        rows = dict(self.rows)
        objects = rows.pop(LARGE_OBJECTS, 0)
        text = f"{counted(sum(rows.values()), 'row')} in {counted(len(rows), 'table')}"
        return text + (f" and {counted(objects, 'large object')}" if objects else "")


LONGEST_WORD = 60


def unsafe(statement: Statement, token: Token, why: str, upto: int = 1) -> Unsafe:
    """Return the refusal of a statement, quoting `upto` words from `token` on."""
    place = statement.tokens.index(token)
    written = [each.text for each in statement.tokens[place : place + upto]]
    word = " ".join(text.upper() if upto > 1 else text for text in written)
    return Unsafe(statement.line_at(token.offset), outside.head(word, LONGEST_WORD), why)
