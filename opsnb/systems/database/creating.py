"""Create an index while the service goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError, UsageError, did_you_mean
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems.database import relations
from opsnb.systems.database.access import (
    LOCK_WAIT_S,
    SYSTEM,
    Connection,
    connection,
    demand_primary,
    demand_session,
    identity,
    session,
)
from opsnb.systems.database.commands import run
from opsnb.systems.database.relations import Relation
from opsnb.systems.database.sight import login
from opsnb.systems.database.words import quoted

_COLUMN = re.compile(r'\s*"(?:[^"]|"")+"\s*|[^,]+')
_LONGEST_NAME = 63  # bytes
_MOST_NAMES = 100


@dataclass(frozen=True)
class _Wanted:
    """An index that is to be there."""

    table: Relation
    columns: tuple[str, ...]
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.table.schema, self.name)

    @property
    def statement(self) -> sql.Composed:
        return sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} ({})").format(
            sql.Identifier(self.name),
            self.table.identifier,
            sql.SQL(", ").join(map(sql.Identifier, self.columns)),
        )

    @property
    def words(self) -> str:
        return f"{self.table.label} ({', '.join(map(quoted, self.columns))})"


@action(needs=(SYSTEM,))
def create_index(
    target: Target, _: ActionRecord | None, table: str, columns: str, *, lock_wait_s: float = 0
) -> Plan:
    """Create an index.

    Concurrently: everybody reads and writes on. `columns` are names with commas between them;
    without a table there is nothing to do. What a failed attempt left is dropped. Raises
    UsageError when there is no such table or column.
    """
    if not table:
        return _nothing()
    with connection(target) as database:
        demand_primary(target, database)
        wanted = _wanted(database, table, columns)
        _demand_possible(database, wanted.table)
        state, server = _state(database, wanted), identity(database)
        size = _table_bytes(database, wanted.table)
    if state != "valid":
        demand_session(target, "CREATE INDEX CONCURRENTLY")

    def work(permit: Permit) -> Iterator[int]:
        with session(target, permit, lock_wait_s=lock_wait_s or LOCK_WAIT_S) as writing:
            drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(wanted.identifier)
            if state == "invalid":
                writing.execute(drop)
            try:
                for _ in run(target, writing, wanted.statement):
                    yield 0
            except psycopg.errors.DuplicateTable:
                raise  # made by somebody else since the plan: it is not ours to drop
            except BaseException:
                with suppress(ServiceError, psycopg.Error), session(target, permit) as again:
                    if _state(again, wanted) == "invalid":
                        again.execute(drop)
                raise
            yield 1

    def verify() -> list[Finding]:
        with connection(target) as database:
            now = _state(database, wanted)
        status = Status.OK if now == "valid" else Status.CRIT
        return [Finding(status=status, message=f"The index on {wanted.words} is {now}.")]

    planned = 0 if state == "valid" else 1
    return Plan(
        summary=f"Create an index on {wanted.words}, concurrently."
        if planned
        else f"There is an index on {wanted.words} already.",
        planned=planned,
        unit="indexes",
        command=f"{wanted.statement.as_string()};",
        undo=f"DROP INDEX CONCURRENTLY {wanted.identifier.as_string()};",
        work=work,
        verify=verify,
        bytes=size if planned else None,
        basis=(server, wanted, state),
        warning="It reads the whole table, waits for the transactions that are open now, and every "
        "write to the table has one more index to keep."
        if planned
        else "",
    )


def _nothing() -> Plan:
    return Plan.nothing("No table is named.", "indexes")


def _wanted(database: Connection, table: str, columns: str) -> _Wanted:
    found = relations.table(database, table)
    rows = database.execute(
        "SELECT attname::text AS name FROM pg_attribute"
        " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
        [found.oid],
    ).fetchall()
    known = [row["name"] for row in rows]
    names = tuple(
        name if name in known else _bare(name)
        for name in map(str.strip, _COLUMN.findall(columns))
        if name
    )
    if not names:
        raise UsageError("Say which columns the index is to have, with commas between them.")
    for name in names:
        if name not in known:
            raise UsageError(f"{found.label} has no column '{name}'." + did_you_mean(name, known))
    return _Wanted(found, names, _free_name(database, found, names))


def _free_name(database: Connection, table: Relation, columns: tuple[str, ...]) -> str:
    """Return a name that nothing has, but what a failed attempt left of this very index."""
    stem = f"idx_{table.name}_{'_'.join(columns)}"
    for number in range(1, _MOST_NAMES):
        tail = "" if number == 1 else f"_{number}"
        name = stem.encode()[: _LONGEST_NAME - len(tail)].decode(errors="ignore") + tail
        there = database.execute(
            "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s",
            [table.schema, name],
        ).fetchone()
        wanted = _Wanted(table, columns, name)
        if there is None or _state(database, wanted) != "missing":
            return name
    raise UsageError(f"{table.schema} has {_MOST_NAMES - 1} indexes named {stem}... already.")


def _bare(name: str) -> str:
    """Return a name that may be quoted as the catalogue has it."""
    quotes = len(name) > 1 and name.startswith('"') and name.endswith('"')
    return name[1:-1].replace('""', '"') if quotes else name


def _demand_possible(database: Connection, table: Relation) -> None:
    """Raise UsageError or BadAnswer when no index can be made on this table so."""
    if table.kind == "p":
        raise UsageError(
            f"{table.label} is partitioned, and PostgreSQL creates no index on it concurrently: "
            "give one of its partitions, one after another."
        )
    row = database.execute(
        "SELECT pg_has_role(relowner, 'USAGE') AS yes, relowner::regrole::text AS owner"
        " FROM pg_class WHERE oid = %s",
        [table.oid],
    ).fetchone()
    if row and not row["yes"]:
        raise BadAnswer(
            SYSTEM,
            f"Login {login(database)} may create no index on {table.label}; use the login of its "
            f"owner, {row['owner']}, in database_url.",
        )


def _state(database: Connection, wanted: _Wanted) -> str:
    """Return whether an index on these columns is valid, invalid or missing."""
    rows = database.execute(
        "SELECT i.indisvalid AS valid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'"
        " WHERE i.indrelid = %(table)s AND (i.indisvalid OR c.relname = %(name)s)"
        " AND i.indpred IS NULL AND i.indnkeyatts = cardinality(%(columns)s::text[])"
        " AND %(columns)s::text[] = ARRAY("
        " SELECT a.attname::text FROM unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
        " WHERE k.place <= i.indnkeyatts ORDER BY k.place)",
        {"table": wanted.table.oid, "name": wanted.name, "columns": list(wanted.columns)},
    ).fetchall()
    if any(row["valid"] for row in rows):
        return "valid"
    return "invalid" if rows else "missing"


def _table_bytes(database: Connection, table: Relation) -> int:
    row = database.execute("SELECT pg_table_size(%s::oid) AS bytes", [table.oid]).fetchone()
    return int(row["bytes"]) if row else 0
