"""The parts of a dump: statements, and the rows of COPY."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from opsnb.systems.database.dumps.tokens import Token, tokens


@dataclass(frozen=True)
class Statement:
    """One statement, without the comments before it and the semicolon after it."""

    text: bytes
    line: int
    starts_copy: bool = False
    """Whether rows follow it."""
    inserted: int = 0
    """How many rows an INSERT of literals only adds; 0 for any other statement."""
    has_standard_strings: bool = True

    @cached_property
    def tokens(self) -> list[Token]:
        """Its tokens, without comments; of a command to psql only the name."""
        if self.text.startswith(b"\\"):
            name = self.text.split(maxsplit=1)[0]
            return [Token("command", name.decode(errors="replace"), 0)]
        return list(tokens(self.text, self.has_standard_strings))

    def first(self, count: int) -> list[Token]:
        """Return its first tokens, without reading the rest, which may be long."""
        return list(islice(tokens(self.text, self.has_standard_strings), count))

    def line_at(self, offset: int) -> int:
        """Return the line of the dump that a token is on."""
        return self.line + self.text.count(b"\n", 0, offset)


@dataclass(frozen=True)
class CopyRows:
    """Some of the rows of a COPY, in the form in which the server takes them."""

    data: bytes
    count: int


@dataclass(frozen=True)
class CopyEnd:
    """The end of the rows of a COPY."""


class NotSql(Exception):
    """The text cannot be split; the message says where and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
