"""The part of a dump read so far that decides how the next statement is judged."""

from __future__ import annotations

from opsnb.systems.database.dumps.contents import Contents, Meaning, unsafe
from opsnb.systems.database.dumps.reaching import LEAVES, SHARED, Code
from opsnb.systems.database.dumps.statements import Statement
from opsnb.systems.database.dumps.tokens import Token
from opsnb.systems.database.dumps.vocabulary import NOT_DATA


class State:
    """The schema, functions, views and triggers that a dump has made so far, and its rows."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.schema = "public"
        self.code = Code()
        self.functions: set[str] = set()
        self.has_own_operators = False
        self.has_made = False
        self.views: set[tuple[str, str]] = set()
        """Rows that are added to a view may go anywhere."""
        self.runs_on_rows = ""
        """A trigger or rule that would run on every row that follows."""

    def count(self, table: tuple[str, str], count: int) -> None:
        """Count rows of a table."""
        self.contents.rows[table] = self.contents.rows.get(table, 0) + count

    def relation(self, tokens: list[Token], at: int) -> tuple[tuple[str, str], int]:
        """Return (schema, name) of the relation named at `at`, and the place after it."""
        while at < len(tokens) and tokens[at].text in ("only", "if", "not", "exists"):
            at += 1
        parts = []
        while at < len(tokens) and tokens[at].kind in ("word", "name"):
            parts.append(tokens[at].text)
            at += 1
            if at >= len(tokens) or tokens[at].text != ".":
                break
            at += 1
        if not parts:
            return (self.schema, ""), at
        return (parts[-2] if len(parts) > 1 else self.schema, parts[-1]), at

    def added(self, statement: Statement, table: tuple[str, str], count: int) -> Meaning:
        """Count the rows that a statement adds. Raises Unsafe if they would not go to a table."""
        schema, name = table
        if schema in ("pg_catalog", "information_schema") or name in SHARED:
            raise unsafe(statement, statement.tokens[0], f"into {name} {LEAVES}")
        if table in self.views:
            raise unsafe(statement, statement.tokens[0], f"into a view {NOT_DATA}")
        if self.runs_on_rows:
            why = f"adds rows after {self.runs_on_rows}, which would run on each"
            raise unsafe(statement, statement.tokens[0], why)
        self.count(table, count)
        return Meaning("row", f"table {table[0]}.{table[1]}", table=table)
