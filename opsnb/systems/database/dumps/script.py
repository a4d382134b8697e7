"""The text of a dump, split into statements and rows of COPY as PostgreSQL itself splits it.

In one pass and bounded memory: a dump may be as large as the disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from opsnb.systems.database.dumps.statements import CopyEnd, CopyRows, NotSql, Statement
from opsnb.systems.database.dumps.tokens import ESCAPES, NAME, STANDARD, TOKEN, block_end, tokens

_CHUNK = 2**20
_LONGEST = 2**30
"""PostgreSQL takes no longer statement."""


_MAY_GO_ON = re.compile(
    rb"\$[A-Za-z0-9_\x80-\xff]*+|[eE]" + ESCAPES + rb"(?:\s|--[^\n\r]*+|'(?:[^'\\]|\\.|'')*+)*+",
    re.DOTALL,
)
"""The end of a text that may become another token when more text follows."""
_LITERAL = (
    rb"(?:"
    + STANDARD
    + rb"|-?[0-9][0-9.eE+-]*+|NULL|true|false|DEFAULT|E"
    + ESCAPES
    + rb"|[BX]'[0-9A-Fa-f]*+')"
)
_ROW = rb"\(" + _LITERAL + rb"(?:, " + _LITERAL + rb")*+\)"
_INSERT = re.compile(
    rb"INSERT INTO " + NAME + rb"(?:\." + NAME + rb")?(?: \(" + NAME + rb"(?:, " + NAME
    + rb")*+\))?(?: OVERRIDING (?:SYSTEM|USER) VALUE)? VALUES\s++" + _ROW
    + rb"(?P<more>(?:,\s*+" + _ROW + rb")*+)(?:\s++ON CONFLICT DO NOTHING)?;",
    re.DOTALL,
)  # fmt: skip
_ONE_ROW = re.compile(_ROW, re.DOTALL)
_COPIES = re.compile(rb"COPY\b", re.IGNORECASE)
_STRINGS = re.compile(
    rb"SET\s+(?:SESSION\s+|LOCAL\s+)?standard_conforming_strings\s*(?:=|TO)\s*'?(\w+)'?\s*$",
    re.IGNORECASE,
)
_CONTINUED = re.compile(rb"(?<!\\)(?:\\\\)*+\\\r?\n")
_LINE_END = re.compile(rb"[ \t\r\f\v]*\n")
_COPY_END = re.compile(rb"\\\.\r?(?:\n|\Z)")


class Script:
    """A dump's text, as a sequence of statements and rows."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._text = b""
        self._at = 0
        self._counted = 0
        self._line = 1
        self._is_at_end = False
        self._has_standard_strings = True

    def __iter__(self) -> Iterator[Statement | CopyRows | CopyEnd]:
        """Yield the statements and rows, in order. Raises NotSql if the text cannot be split."""
        while len(self._text) < 3 and self._more():
            continue
        if self._text.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise NotSql(1, "it is UTF-16, as PowerShell's `>` writes it: convert it to UTF-8")
        if self._text.startswith(b"\xef\xbb\xbf"):
            self._at = 3
        while (statement := self._statement()) is not None:
            yield statement
            if statement.starts_copy:
                yield from self._rows(statement)
            elif setting := _STRINGS.match(statement.text):
                self._has_standard_strings = setting[1].lower() not in (b"off", b"false", b"0")

    def _more(self) -> bool:
        """Read as much again as is kept, and return whether there was more."""
        kept = [self._text[self._at :]]
        self._line += self._text.count(b"\n", self._counted, self._at)
        wanted = max(_CHUNK, len(kept[0]))
        if wanted > _LONGEST:
            raise NotSql(self._line, "the text that begins here has no end")
        read = 0
        while read < wanted:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._is_at_end = True
                break
            read += len(chunk)
            kept.append(chunk)
        self._text, self._at, self._counted = b"".join(kept), 0, 0
        return read > 0

    def _line_of(self, position: int) -> int:
        self._line += self._text.count(b"\n", self._counted, position)
        self._counted = position
        return self._line

    def _statement(self) -> Statement | None:
        """Return the next statement, or None at the end."""
        if not self._skip_space():
            return None
        if self._text.startswith(b"\\", self._at):
            return self._command()
        if self._has_standard_strings and (fast := _INSERT.match(self._text, self._at)):
            count = 1 + (len(_ONE_ROW.findall(fast["more"])) if fast["more"] else 0)
            found = Statement(fast[0][:-1], self._line_of(self._at), inserted=count)
            self._at = fast.end()
            return found
        return self._other()

    def _skip_space(self) -> bool:
        """Go to the next token; return False at the end of the text."""
        while True:
            start, after, kind = self._next(self._at)
            if kind == "":
                return False
            if kind not in ("space", "end"):
                self._at = start
                return True
            self._at = after

    def _command(self) -> Statement:
        """Return a command to psql, which extends to the end of its line."""
        while (end := self._text.find(b"\n", self._at)) < 0 and not self._is_at_end:
            self._more()
        end = len(self._text) if end < 0 else end
        found = Statement(self._text[self._at : end].rstrip(b"\r"), self._line_of(self._at))
        self._at = end
        return found

    def _other(self) -> Statement:
        place = 0  # relative, because reading more moves the text
        nesting = _Nesting()
        while True:
            start, after, kind = self._next(self._at + place)
            if kind == "" or (kind == "end" and not nesting.is_open):
                break
            nesting.take(kind, self._text[start:after])
            place = after - self._at
        text = self._text[self._at : start]
        line = self._line_of(self._at)
        if b"\0" in text:
            raise NotSql(line, "it contains a NUL byte: it is damaged, or not text")
        self._at = after
        copies = _starts_copy(text, self._has_standard_strings)
        if copies:
            if kind == "":
                raise NotSql(line, "the rows of this COPY are missing: the dump is truncated")
            self._skip_line_end(line)
        return Statement(text, line, copies, has_standard_strings=self._has_standard_strings)

    def _skip_line_end(self, line: int) -> None:
        while b"\n" not in self._text[self._at :] and self._more():
            continue
        end = _LINE_END.match(self._text, self._at)
        if end is None:
            raise NotSql(line, "the rows of COPY do not begin on the next line")
        self._at = end.end()

    def _next(self, position: int) -> tuple[int, int, str]:
        """Return start, end and kind of the token at `position`; the kind is empty at the end."""
        pattern = TOKEN[self._has_standard_strings]
        while True:
            match = pattern.match(self._text, position)
            kind = match.lastgroup or "" if match else ""
            end = match.end() if match else position
            if kind == "block":
                end = block_end(self._text, position)
            elif kind == "dollar" and match:
                end = self._text.find(match[0], end)
                end = end + len(match[0]) if end >= 0 else -1
            elif kind == "open":
                end = -1
            is_whole = kind == "end" or 0 <= end < len(self._text)
            if kind in ("sign", "string") and _MAY_GO_ON.fullmatch(self._text, position):
                is_whole = False
            if is_whole or (self._is_at_end and end >= 0):
                return position, end, "space" if kind == "block" else kind
            if self._is_at_end:
                raise NotSql(
                    self._line_of(position),
                    "the text that begins here has no end: the dump is truncated",
                )
            kept = position - self._at
            self._more()
            position = self._at + kept

    def _rows(self, statement: Statement) -> Iterator[CopyRows | CopyEnd]:
        """Yield the rows of a COPY, which end with a line of `\\.`."""
        while (end := self._copy_end()) is None:
            last = self._text.rfind(b"\n", self._at) + 1
            if last > self._at:
                yield self._taken(last)
            if self._is_at_end:
                raise NotSql(
                    statement.line, "the rows of this COPY have no end: the dump is truncated"
                )
            self._more()
        if end > self._at:
            yield self._taken(end)
        self._at = min(len(self._text), self._text.find(b"\n", end) + 1 or len(self._text))
        yield CopyEnd()

    def _copy_end(self) -> int | None:
        """Return the start of the line that ends the rows, or None if it was not read yet."""
        position = self._at
        while True:
            if not self._text.startswith(b"\\.", position):
                found = self._text.find(b"\n\\.", position)
                if found < 0:
                    return None
                position = found + 1
            end = _COPY_END.match(self._text, position)
            # The last line of the text may be incomplete.
            if end and (self._is_at_end or end[0].endswith(b"\n")):
                return position
            if end or self._text.find(b"\n", position) < 0:
                return None
            position = self._text.find(b"\n", position) + 1

    def _taken(self, end: int) -> CopyRows:
        data = self._text[self._at : end]
        if b"\0" in data:
            line = self._line_of(self._at + data.index(b"\0"))
            raise NotSql(line, "it contains a NUL byte: it is damaged, or not text")
        self._at = end
        count = data.count(b"\n")
        if (
            b"\\\n" in data or b"\\\r\n" in data
        ):  # a line break within a value, as old servers wrote
            count -= len(_CONTINUED.findall(data))
        return CopyRows(data, count)


class _Nesting:
    """Whether a semicolon is inside a statement: in parentheses, or in a function's body."""

    def __init__(self) -> None:
        self._parentheses = self._blocks = 0
        self._first: list[bytes] = []

    @property
    def is_open(self) -> bool:
        return self._parentheses > 0 or self._blocks > 0

    def take(self, kind: str, text: bytes) -> None:
        if kind == "sign":
            self._parentheses += {b"(": 1, b")": -1}.get(text, 0)
        if kind != "word" or self._parentheses > 0:
            return
        word = text.lower()
        if len(self._first) < 4:
            self._first.append(word)
        if word == b"end":
            self._blocks -= self._blocks > 0
        elif self._blocks and word == b"case":
            self._blocks += 1
        elif word == b"begin" and self._first[0] == b"create":
            self._blocks += bool({b"function", b"procedure"} & set(self._first[1:]))


def _starts_copy(text: bytes, has_standard_strings: bool) -> bool:
    if not _COPIES.match(text):
        return False
    words = [token.text for token in tokens(text, has_standard_strings) if token.kind == "word"]
    return "stdin" in words[-3:] and "from" in words
