"""Judging a dump: only the SQL that pg_dump writes about one database passes; rows are counted.

A dump is data. Everything that would reach out of the database that it is restored into is refused
before anything is done: commands to psql, programs, statements about the server or other databases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from opsnb.redaction import outside
from opsnb.systems.database.dumps import data, definitions
from opsnb.systems.database.dumps.contents import LONGEST_WORD, Contents, Meaning, Unsafe, unsafe
from opsnb.systems.database.dumps.script import Script
from opsnb.systems.database.dumps.state import State
from opsnb.systems.database.dumps.statements import CopyEnd, CopyRows, NotSql, Statement
from opsnb.systems.database.dumps.vocabulary import NOT_DATA

Step = tuple[Statement, Meaning] | CopyRows | CopyEnd

_MOST_REFUSED = 3
_MADE_OF = re.compile(rb"^-- Dumped from database version (\d+)", re.MULTILINE)

_STATEMENTS: dict[str, Callable[[State, Statement], Meaning]] = {
    "set": data.setting,
    "select": data.select,
    "insert": data.insert,
    "copy": data.copy,
    "create": definitions.create,
    "alter": definitions.alter,
    "drop": definitions.drop,
    "truncate": definitions.drop,
    "refresh": data.refresh,
    "begin": data.transaction,
    "commit": data.transaction,
    **dict.fromkeys(definitions.ABOUT, definitions.about),
}


def inspect(chunks: Iterable[bytes]) -> tuple[Contents, list[Unsafe]]:
    """Read a dump to its end; return what it holds, and the first statements that are not data.

    Raises NotSql if it cannot be read.
    """
    contents, refused = Contents(), []
    state, table = State(contents), ("", "")
    try:
        for item in Script(_noted(chunks, contents)):
            if isinstance(item, CopyRows):
                state.count(table, item.count)
            elif isinstance(item, Statement):
                try:
                    table = _meaning(state, item).table or table
                except Unsafe as error:
                    refused.append(error)
            if len(refused) == _MOST_REFUSED:
                return contents, refused
        refused += list(state.code.running())[: _MOST_REFUSED - len(refused)]
    except NotSql:
        if not refused:
            raise
    return contents, refused


def steps(chunks: Iterable[bytes]) -> Iterator[Step]:
    """Yield the steps of the restore, in order.

    Raises Unsafe and NotSql before it yields what is refused.
    """
    state = State(Contents())
    for item in Script(chunks):
        yield (item, _meaning(state, item)) if isinstance(item, Statement) else item


def _meaning(state: State, statement: Statement) -> Meaning:
    """Return what a statement is about. Raises Unsafe if it is not data."""
    if statement.inserted:
        # The lexer found literals only; just the table's name is left to read.
        table, _ = state.relation(statement.first(6), 2)
        return state.added(statement, table, statement.inserted)
    tokens = statement.tokens
    if not tokens:
        return Meaning("skip")
    _demand_no_commands(statement)
    if tokens[0].kind == "command":
        return Meaning("skip")
    if tokens[0].kind != "word" or tokens[0].text not in _STATEMENTS:
        raise unsafe(statement, tokens[0], NOT_DATA)
    return _STATEMENTS[tokens[0].text](state, statement)


def _demand_no_commands(statement: Statement) -> None:
    """Raise Unsafe for a command to psql, or a variable of psql."""
    tokens = statement.tokens
    for token in tokens:
        if token.kind == "command":
            allowed = token is tokens[0] and token.text in ("\\restrict", "\\unrestrict", "\\.")
            if not allowed and token.text == "\\restrict":
                printed = statement.text.decode(errors="replace").splitlines()[0].strip()
                why = "is no SQL, but what a program printed into the dump"
                raise Unsafe(statement.line, outside.head(printed, LONGEST_WORD), why)
            if not allowed:
                raise unsafe(statement, token, f"is a command to psql and {NOT_DATA}")
            return
    if b":" not in statement.text:
        return
    depth = 0
    for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        depth += {"[": 1, "]": -1}.get(token.text, 0) if token.kind == "sign" else 0
        if token.kind != "sign" or token.text != ":" or depth or after is None:
            continue
        is_cast = before and before.text == ":" and before.offset == token.offset - 1
        touches = after.offset == token.offset + 1 and after.kind in ("word", "name", "string")
        if touches and not is_cast:
            word = f":{after.text}"
            line = statement.line_at(token.offset)
            raise Unsafe(line, word, f"is a variable of psql and {NOT_DATA}")


def _noted(chunks: Iterable[bytes], contents: Contents) -> Iterator[bytes]:
    """Pass the text on, and note the server version that its head names."""
    head = b""
    for chunk in chunks:
        if len(head) < 8192:
            head = (head + chunk)[:8192]
            if match := _MADE_OF.search(head):
                contents.database_major = int(match[1])
        yield chunk
