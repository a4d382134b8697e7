"""Creating an index while the service keeps running."""

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
from opsnb.systems.database import queries, relations
from opsnb.systems.database.commands import run
from opsnb.systems.database.connecting import LOCK_WAIT_S, connection, session
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.pooler import demand_session
from opsnb.systems.database.relations import Relation
from opsnb.systems.database.server import demand_primary, identity
from opsnb.systems.database.sight import login
from opsnb.systems.database.words import quoted

_COLUMN = re.compile(r'\s*"(?:[^"]|"")+"\s*|[^,]+')
_LONGEST_NAME = 63  # bytes
_MOST_NAMES = 100


@dataclass(frozen=True)
class _Wanted:
    """The index to create."""

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

    Concurrently, so that nobody has to wait to read or write. `columns` are names with commas
    between them; without a table there is nothing to do. An invalid index that a failed attempt
    left is dropped first. Raises UsageError if there is no such table or column.
    """
    if not table:
        return Plan.nothing("No table is named.", "indexes")
    with connection(target) as database:
        demand_primary(database)
        wanted = _wanted(database, table, columns)
        _demand_possible(database, wanted.table)
        state, server = _state(database, wanted), identity(database)
        (size,) = database.execute("SELECT pg_table_size(%s::oid) AS bytes", [wanted.table.oid])
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
                raise  # somebody else created it since the plan, so it stays
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
        else f"{wanted.words} already has an index.",
        planned=planned,
        unit="indexes",
        command=f"{wanted.statement.as_string()};",
        undo=f"DROP INDEX CONCURRENTLY {wanted.identifier.as_string()};",
        work=work,
        verify=verify,
        bytes=size["bytes"] if planned else None,
        basis=(server, wanted, state),
        warning="It reads the whole table and waits for all open transactions. From then on, every "
        "write to the table maintains one more index."
        if planned
        else "",
    )


def _wanted(database: Connection, table: str, columns: str) -> _Wanted:
    found = relations.table(database, table)
    known = [row["name"] for row in queries.rows(database, "columns", table=found.oid)]
    names = tuple(
        name if name in known else _bare(name)
        for name in map(str.strip, _COLUMN.findall(columns))
        if name
    )
    if not names:
        raise UsageError("Name the columns of the index, with commas between them.")
    for name in names:
        if name not in known:
            raise UsageError(f"{found.label} has no column '{name}'." + did_you_mean(name, known))
    return _Wanted(found, names, _free_name(database, found, names))


def _free_name(database: Connection, table: Relation, columns: tuple[str, ...]) -> str:
    """Return a name that is free, or that only a failed attempt at this index has."""
    stem = f"idx_{table.name}_{'_'.join(columns)}"
    for number in range(1, _MOST_NAMES):
        tail = "" if number == 1 else f"_{number}"
        name = stem.encode()[: _LONGEST_NAME - len(tail)].decode(errors="ignore") + tail
        taken = queries.row(database, "relation_exists", schema=table.schema, name=name)["yes"]
        wanted = _Wanted(table, columns, name)
        if not taken or _state(database, wanted) != "missing":
            return name
    raise UsageError(f"{table.schema} already has {_MOST_NAMES - 1} indexes named {stem}...")


def _bare(name: str) -> str:
    """Return a name, quoted or not, as it is in the catalogue."""
    quotes = len(name) > 1 and name.startswith('"') and name.endswith('"')
    return name[1:-1].replace('""', '"') if quotes else name


def _demand_possible(database: Connection, table: Relation) -> None:
    """Raise UsageError or BadAnswer if no index can be created concurrently on this table."""
    if table.kind == "p":
        raise UsageError(
            f"{table.label} is partitioned, and PostgreSQL cannot create an index on it "
            "concurrently: name its partitions, one after another."
        )
    row = queries.row(database, "table_owner", table=table.oid)
    if not row["owns"]:
        raise BadAnswer(
            SYSTEM,
            f"Login {login(database)} may not create an index on {table.label}; use the login of "
            f"its owner, {row['owner']}, in database_url.",
        )


def _state(database: Connection, wanted: _Wanted) -> str:
    """Return whether an index on these columns is valid, invalid or missing."""
    rows = queries.rows(
        database,
        "btree_indexes",
        table=wanted.table.oid,
        name=wanted.name,
        columns=list(wanted.columns),
    )
    if any(row["valid"] for row in rows):
        return "valid"
    return "invalid" if rows else "missing"
