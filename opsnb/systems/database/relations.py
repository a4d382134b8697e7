"""Tables and indexes by name: found by comparing names, never by pasting one into SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from opsnb.errors import UsageError, did_you_mean
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.server import name_of
from opsnb.systems.database.words import quoted

_MOST_CHOICES = 20

TABLES = ("r", "m", "p")
"""The kinds in pg_class: tables, materialised views, partitioned tables."""
INDEXES = ("i", "I")
"""Indexes, and those of partitioned tables."""


@dataclass(frozen=True)
class Relation:
    """A table or an index."""

    oid: int
    schema: str
    name: str
    kind: str
    visible: bool = False
    """It is on the search path, so that its name alone means it."""

    @property
    def written(self) -> str:
        """The name as you would type it: with its schema where that is needed."""
        return quoted(self.name) if self.visible else self.label

    @property
    def label(self) -> str:
        """The name with its schema, as it is written in SQL."""
        return quoted(self.schema, self.name)

    @property
    def identifier(self) -> sql.Identifier:
        """The name as SQL takes it, quoted."""
        return sql.Identifier(self.schema, self.name)


def table(database: Connection, name: str) -> Relation:
    """Return the table `name` or `schema.name`. Raises UsageError with the nearest name."""
    return _named(database, name, "table", TABLES)


def index(database: Connection, name: str) -> Relation:
    """Return the index `name` or `schema.name`. Raises UsageError with the nearest name."""
    return _named(database, name, "index", INDEXES)


def _named(database: Connection, name: str, what: str, kinds: Sequence[str]) -> Relation:
    rows = queries.rows(database, "relations", kinds=list(kinds), name=name)
    # A name without a schema means the one on the search path, as everywhere in PostgreSQL.
    chosen = [row for row in rows if row["visible"] and row["name"] == name] or rows
    if len(chosen) == 1:
        return Relation(**chosen[0])
    if chosen:
        choices = ", ".join(quoted(row["schema"], row["name"]) for row in chosen)
        raise UsageError(f"Several {what}s are called '{name}': name one of {choices}.")
    raise UsageError(
        f"Database {name_of(database)} has no {what} '{name}'."
        + nearest(name, _names(database, kinds))
    )


def _names(database: Connection, kinds: Sequence[str]) -> list[str]:
    rows = queries.rows(database, "relation_names", kinds=list(kinds))
    return [row["name"] for row in rows]


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ` Did you mean 'x'?`, or the known names, or how many there are if they are many."""
    near = did_you_mean(name, known)
    if "Did you mean" in near or len(known) <= _MOST_CHOICES:
        return near
    return f" There are {len(known):,}; none has a similar name."
