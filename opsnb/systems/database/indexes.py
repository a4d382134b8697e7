"""Indexes of the users' own tables: as they are, and the ones being built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from opsnb.model import Row
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.words import quoted
from opsnb.view.formats import MIB

Scope = Literal["invalid", "database", "tables", "indexes"]
"""Which indexes `sql/indexes.sql` returns."""

PLAN_S = 30.0
"""The time limit for reading the sizes of some ten thousand indexes."""


@dataclass(frozen=True)
class Index:
    """An index as it stands."""

    oid: int
    schema: str
    name: str
    written: str
    """The name as you would type it: with its schema where that is needed."""
    table_oid: int
    on_table: str
    file: int
    """The number of its file; a rebuilt index has a new one."""
    pages: int
    bytes: int
    valid: bool
    excludes: bool
    is_unique: bool
    leftover: bool
    """It is what a failed rebuild of another index left."""
    reachable: bool
    """Whether this login may name it: only a superuser may use the schema of TOAST."""
    owner: str

    @property
    def label(self) -> str:
        """The name with its schema, as it is written in SQL."""
        return quoted(self.schema, self.name)

    @property
    def identifier(self) -> sql.Identifier:
        """The name as SQL takes it, quoted."""
        return sql.Identifier(self.schema, self.name)

    @property
    def row(self) -> Row:
        """Its row in the plan."""
        what = "drop: left by a failed attempt" if self.leftover else "rebuild"
        state = "valid" if self.valid else "invalid"
        mib = self.bytes / MIB
        return {
            "index": self.label,
            "table": self.on_table,
            "mib": mib,
            "state": state,
            "plan": what,
        }


def read_indexes(
    database: Connection, scope: Scope, oids: Iterable[int] = (), *, most: int | None = None
) -> list[Index]:
    """Return indexes, the smallest first; `oids` are those of the tables, or of the indexes."""
    rows = queries.rows(database, "indexes", scope=scope, oids=list(oids), most=most)
    return [Index(**row) for row in rows]


def being_built(database: Connection, tables: set[int]) -> tuple[set[int], set[int]]:
    """Return on which of `tables` an index is being built, and on which one may be.

    If another role builds it, this login does not see which index it is, only which tables the
    command has locked.
    """
    rows = queries.rows(database, "index_builds", tables=list(tables))
    seen = {row["table"] for row in rows if not row["hidden"]}
    return seen, {row["table"] for row in rows if row["hidden"]} - seen


def duplicates_query(database: Connection, index: Index) -> str:
    """Return the query that finds the rows for which a unique index cannot be built."""
    row = queries.row(database, "index_keys", index=index.oid)
    keys = row["keys"] or ["..."]
    part = f" WHERE {row['part']}" if row["part"] else ""
    numbers = ", ".join(str(number + 1) for number in range(len(keys)))
    return (
        f"SELECT {', '.join(keys)}, count(*) FROM {index.on_table}{part} "
        f"GROUP BY {numbers} HAVING count(*) > 1"
    )
