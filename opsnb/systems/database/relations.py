"""Tables and indexes by name: found by comparing, never by pasting a name into SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from opsnb.errors import UsageError, did_you_mean
from opsnb.systems.database.access import Connection, name_of
from opsnb.systems.database.words import quoted

_MOST_CHOICES = 20

TABLES = ("r", "m", "p")
"""The kinds in pg_class: tables, materialised views, partitioned tables."""
INDEXES = ("i", "I")
"""Indexes, and those of partitioned tables."""

OURS: LiteralString = (
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"
)
"""The condition on pg_namespace `n` for schemas that are the users' own."""


def may_maintain(database: Connection, table: LiteralString = "c") -> LiteralString:
    """Return the condition on pg_class for tables whose indexes this login may rebuild."""
    owner: LiteralString = f"pg_has_role({table}.relowner, 'USAGE')"
    if database.info.server_version < 170000:
        return owner
    return f"({owner} OR has_table_privilege({table}.oid, 'MAINTAIN'))"


@dataclass(frozen=True)
class Relation:
    """A table or an index."""

    oid: int
    schema: str
    name: str
    kind: str
    visible: bool = False
    """It is on the search path, where its name alone means it."""

    @property
    def written(self) -> str:
        """The name as one would type it: with its schema where that is needed."""
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
    rows = database.execute(
        "SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,"
        " pg_table_is_visible(c.oid) AS visible"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = ANY(%(kinds)s) AND {OURS}"
        " AND %(name)s::text IN"
        " (c.relname::text, n.nspname || '.' || c.relname, c.oid::regclass::text,"
        " quote_ident(c.relname), quote_ident(n.nspname) || '.' || quote_ident(c.relname))"
        " ORDER BY 2, 3",
        {"kinds": list(kinds), "name": name},
    ).fetchall()
    # The name alone means the one on the search path, as everywhere in PostgreSQL.
    chosen = [row for row in rows if row["visible"] and row["name"] == name] or rows
    if len(chosen) == 1:
        return Relation(*(chosen[0][key] for key in ("oid", "schema", "name", "kind", "visible")))
    if chosen:
        choices = ", ".join(quoted(row["schema"], row["name"]) for row in chosen)
        raise UsageError(f"The {what} '{name}' is not the only one: write one of {choices}.")
    raise UsageError(
        f"Database {name_of(database)} has no {what} '{name}'."
        + nearest(name, _names(database, kinds))
    )


def _names(database: Connection, kinds: Sequence[str]) -> list[str]:
    rows = database.execute(
        "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname"
        " ELSE n.nspname || '.' || c.relname END AS name"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = ANY(%s) AND {OURS}",
        [list(kinds)],
    )
    return [row["name"] for row in rows]


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ` Did you mean 'x'?` or a few of what there is: a database may have many names."""
    near = did_you_mean(name, known)
    if "Did you mean" in near or len(known) <= _MOST_CHOICES:
        return near
    return f" There are {len(known):,}; none has a name like it."
