"""Indexes rebuilt, without a lock on the table, and what failed attempts left of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal, LiteralString

import psycopg
from psycopg import sql

from opsnb.actions.action import Permit, Plan, action
from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused, ServiceError, UsageError
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.database import relations
from opsnb.systems.database.access import (
    LOCK_WAIT_S,
    SYSTEM,
    Connection,
    connection,
    demand_primary,
    demand_session,
    identity,
    name_of,
    reason,
    session,
)
from opsnb.systems.database.commands import run
from opsnb.systems.database.relations import OURS, may_maintain, nearest
from opsnb.systems.database.room import free_bytes
from opsnb.systems.database.sight import granted, login
from opsnb.systems.database.words import quoted
from opsnb.view import commands
from opsnb.view.formats import counted

Kind = Literal["index", "table", "database"]

_MIB = 2**20
_PLAN_S = 30.0  # the sizes of some ten thousand indexes
_MOST_SAMPLES = 20
_MOST_INVALID = 1000
_MOST_NAMED = 5

# The table that users know: an index of TOAST is named with the table whose long values it finds.
_SELECT: LiteralString = """
    SELECT i.indexrelid::bigint AS oid, n.nspname AS schema, c.relname AS name,
        c.oid::regclass::text AS written,
        t.oid::bigint AS table_oid, t.oid::regclass::text AS on_table,
        pg_relation_filenode(c.oid)::bigint AS file, c.relpages::bigint AS pages,
        pg_relation_size(c.oid) AS bytes, i.indisvalid AS valid,
        i.indisexclusion AS excludes, i.indisunique AS is_unique,
        NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AS leftover,
        n.nspname !~ '^pg_toast' OR has_schema_privilege(n.oid, 'USAGE') AS reachable,
        pg_get_userbyid(t.relowner)::text AS owner
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toasted ON toasted.reltoastrelid = i.indrelid
    JOIN pg_class t ON t.oid = coalesce(toasted.oid, i.indrelid)
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
"""

_OF_USERS: LiteralString = (
    "tn.nspname <> 'information_schema' AND tn.nspname !~ '^pg_(catalog|toast|temp)'"
)
"""The condition for indexes of the users' own tables."""


@dataclass(frozen=True)
class Index:
    """An index as it stands."""

    oid: int
    schema: str
    name: str
    written: str
    """The name as one would type it: with its schema where that is needed."""
    table_oid: int
    on_table: str
    file: int
    """The number of its file, which is another one after it was rebuilt."""
    pages: int
    bytes: int
    valid: bool
    excludes: bool
    is_unique: bool
    leftover: bool
    """It is what a failed attempt to build another one left."""
    reachable: bool
    """Whether this login may name it: only a superuser reaches the schema of TOAST."""
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
        """What the plan shows of it."""
        what = "drop: left by a failed attempt" if self.leftover else "rebuild"
        state = "valid" if self.valid else "invalid"
        mib = self.bytes / _MIB
        return {
            "index": self.label,
            "table": self.on_table,
            "mib": mib,
            "state": state,
            "plan": what,
        }


@check(needs=(SYSTEM,), treated_by="the message has the command")
def invalid_indexes(target: Target) -> Finding:
    """Invalid indexes.

    Such an index is written to and never read: a concurrent build that failed left it.
    """
    with connection(target) as database:
        rows = database.execute(
            f"{_SELECT} WHERE NOT i.indisvalid AND {_OF_USERS} ORDER BY 5, 3 LIMIT {_MOST_INVALID}"
        ).fetchall()
        found = [Index(**row) for row in rows]
        built, unseen = _under_construction(database, {each.table_oid for each in found})
        unclear = [each for each in found if each.table_oid in unseen]
        if unclear:
            evidence.partial(
                f"login {login(database)} may not see which index another role builds now, so "
                f"whether {unclear[0].label} is half-made or being made is not known; "
                f"{granted(database)}"
            )
        partitioned = _partitioned(database)
        invalid = [each for each in found if each.table_oid not in built | unseen]
        fix = _how_to_fix(target, database, invalid)
    if not invalid and not partitioned:
        message = "All indexes are valid."
        if built or unseen:
            message = "No index is invalid, but for those that are being built."
        return Finding(status=Status.OK, message=message, value=0, unit="indexes")
    count = len(invalid) + len(partitioned)
    named = [f"{each.written} on {each.on_table}" for each in invalid]
    named += [f"{row['index']} on {row['table']}" for row in partitioned]
    more = f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else ""
    return Finding(
        status=Status.WARN,
        message=f"{count} invalid: {', '.join(named[:_MOST_NAMED])}{more}; {fix}",
        value=count,
        unit="indexes",
        rows=[{"index": each.written, "table": each.on_table} for each in invalid] + partitioned,
    )


def _how_to_fix(target: Target, database: Connection, invalid: list[Index]) -> str:
    """Return what makes the first of the invalid indexes valid, or drops it."""
    if not invalid:
        return (
            "an index of a partitioned table becomes valid when each partition has one attached: "
            "ALTER INDEX ... ATTACH PARTITION ...;"
        )
    first = invalid[0]
    fix = "to fix: " + commands.run(
        "database/reindex", target, apply=True, kind="table", name=first.on_table
    )
    unique = next((each for each in invalid if each.is_unique and not each.leftover), None)
    if unique:
        fix = (
            f"{unique.written} is unique, so remove duplicate rows first, if there are any: "
            f"{_duplicates(database, unique)}; then {fix}"
        )
    locked = [each for each in invalid if not each.reachable]
    if locked:
        fix += f"; as superuser: {_drops(locked)}"
    return fix


def _duplicates(database: Connection, index: Index) -> str:
    """Return the query that finds the rows for which a unique index cannot be built."""
    row = database.execute(
        "SELECT array_agg(coalesce(quote_ident(a.attname),"
        # Only an expression is asked for by what waits while somebody has the table locked.
        " CASE WHEN k.number = 0 THEN pg_get_indexdef(i.indexrelid, k.place::int, true) END)"
        " ORDER BY k.place) AS keys, min(pg_get_expr(i.indpred, i.indrelid, true)) AS part"
        " FROM pg_index i"
        " CROSS JOIN LATERAL unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)"
        " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
        " AND k.number <> 0 WHERE i.indexrelid = %s AND k.place <= i.indnkeyatts",
        [index.oid],
    ).fetchone()
    keys = (row and row["keys"]) or ["..."]
    part = f" WHERE {row['part']}" if row and row["part"] else ""
    numbers = ", ".join(str(number + 1) for number in range(len(keys)))
    return (
        f"SELECT {', '.join(keys)}, count(*) FROM {index.on_table}{part} "
        f"GROUP BY {numbers} HAVING count(*) > 1"
    )


def _drops(indexes: Sequence[Index]) -> str:
    return " ".join(f"DROP INDEX {each.label};" for each in indexes)


def _under_construction(database: Connection, tables: set[int]) -> tuple[set[int], set[int]]:
    """Return on which of `tables` an index is being built, as is seen, and as may be.

    Which index a command builds is hidden where it is of another role; which tables it has
    locked is not.
    """
    rows = database.execute(
        "SELECT DISTINCT coalesce(toasted.oid, l.relation)::bigint AS table,"
        " p.relid IS NULL AS hidden"
        " FROM pg_stat_progress_create_index p JOIN pg_locks l ON l.pid = p.pid"
        " AND l.database = p.datid AND l.locktype = 'relation'"
        " LEFT JOIN pg_class toasted ON toasted.reltoastrelid = l.relation"
        " WHERE p.datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')"
        " AND coalesce(toasted.oid, l.relation) IN (SELECT unnest(%s::oid[]))",
        [list(tables)],
    ).fetchall()
    seen = {row["table"] for row in rows if not row["hidden"]}
    return seen, {row["table"] for row in rows if row["hidden"]} - seen


def _partitioned(database: Connection) -> list[Row]:
    """Return the indexes of partitioned tables that lack one on some partition."""
    return database.execute(
        "SELECT i.indexrelid::regclass::text AS index, i.indrelid::regclass::text AS table"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'I'"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE NOT i.indisvalid AND {OURS} ORDER BY 2, 1 LIMIT {_MOST_INVALID}"
    ).fetchall()


@action(needs=(SYSTEM,))
def reindex(  # noqa: PLR0913 - what a runbook can choose by
    target: Target,
    former: ActionRecord | None,
    name: str = "",
    *,
    kind: Kind = "index",
    concurrently: bool = True,
    lock_wait_s: float = LOCK_WAIT_S,
) -> Plan:
    """Rebuild indexes.

    One index, those of a table, or all of the users' own in the database, one after another;
    without a name, the indexes that are invalid. What failed attempts left on the same tables is
    dropped. Raises UsageError when there is none of
    that name, Refused when the disk has no room or a pooler is in between, BadAnswer when somebody
    else is building there, or the table is another's.
    """
    with connection(target, limit_s=_PLAN_S) as database:
        demand_primary(target, database)
        home = name_of(database)
        chosen, written = _chosen(database, kind, name)
        chosen, others = _allowed(database, chosen, named=bool(name) and kind != "database")
        if former:
            files = former.terms["files"]
            chosen = [each for each in chosen if each.leftover or each.label in files]
        tables = {each.table_oid for each in chosen}
        leftovers = [each for each in _of_tables(database, tables) if each.leftover]
        droppable = [each for each in leftovers if each.reachable]
        rebuilt = [each for each in chosen if not each.leftover]
        excluded = len(rebuilt)
        if concurrently:
            rebuilt = _without_exclusions(rebuilt, named=bool(name) and kind == "index")
        excluded -= len(rebuilt)
        meant = rebuilt
        if former:
            meant = [replace(each, file=files[each.label]) for each in rebuilt]
            # One that is equal to what is meant is in the file that it was in before.
            rebuilt = [each for each in rebuilt if each in meant or not each.valid]
        _demand_nobody_builds(database, tables)
        room = _demand_room(target, database, rebuilt)
        basis = (identity(database), [(i.label, i.valid, i.leftover) for i in rebuilt + droppable])
    if rebuilt or droppable:
        demand_session(target, "REINDEX CONCURRENTLY" if concurrently else "REINDEX")
    refused: dict[str, str] = {}

    def work(permit: Permit) -> Iterator[int]:
        done = 0
        with session(target, permit, lock_wait_s=lock_wait_s) as server:
            for statement, each in _statements(droppable, rebuilt, concurrently=concurrently):
                try:
                    with _nothing_left(target, server, permit, each, lock_wait_s):
                        for _ in run(target, server, statement):
                            yield done
                    done += 1
                except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation) as error:
                    # No attempt can succeed before the rows are corrected; the others can.
                    refused[each.label] = error.diag.message_detail or reason(error)
                yield done

    def verify() -> list[Finding]:
        return [_effect(target, meant, leftovers, refused)] if meant or leftovers else []

    left_out = [
        f"{counted(excluded, 'index', 'indexes')} of exclusion constraints cannot be rebuilt "
        "concurrently and are left out."
        if excluded
        else "",
        f"{counted(others, 'index', 'indexes')} of other owners are left out." if others else "",
        "Not concurrently: nobody can write to the table meanwhile, and hardly read."
        if not concurrently
        else "",
    ]
    locked = [each for each in leftovers if not each.reachable]
    if locked:
        left_out.append(f"Only a superuser may drop what is left of TOAST: {_drops(locked)}")
    return Plan(
        summary=_summary(rebuilt, droppable, concurrently=concurrently) + room
        if rebuilt or droppable or name or kind != "index"
        else "No index is invalid. To rebuild a valid one: -p name=INDEX.",
        planned=len(rebuilt) + len(droppable),
        unit="indexes",
        command=f"REINDEX {kind.upper()} {written or quoted(home)};",
        undo="nothing to undo: a rebuilt index serves as the old one did",
        work=work,
        verify=verify,
        sample=[each.row for each in (droppable + rebuilt)[:_MOST_SAMPLES]],
        bytes=sum(each.bytes for each in rebuilt),
        basis=basis,
        warning=" ".join(filter(None, left_out)),
        terms={"files": {each.label: each.file for each in meant}},
    )


def _chosen(database: Connection, kind: Kind, name: str) -> tuple[list[Index], str]:
    """Return the indexes that are meant, and the name as SQL writes it."""
    if kind == "database":
        _demand_this_database(database, name)
        # Of TOAST only what was left; its own index is rebuilt by the handbook's way alone.
        rows = database.execute(
            f"{_SELECT} WHERE {_OF_USERS} AND (n.nspname <> 'pg_toast' OR NOT i.indisvalid)"
            " ORDER BY c.relpages, 2, 3"
        )
        return [Index(**row) for row in rows], quoted(name) if name else ""
    if not name and kind == "index":
        rows = database.execute(
            f"{_SELECT} WHERE {_OF_USERS} AND NOT i.indisvalid ORDER BY c.relpages, 2, 3"
        )
        return [Index(**row) for row in rows], "..."
    if not name:
        raise UsageError(f"Say which {kind}: -p name=...")
    if kind == "table":
        found = relations.table(database, name)
        return _of_tables(database, _tree(database, found.oid)), found.written
    found = relations.index(database, name)
    rows = database.execute(
        f"{_SELECT} WHERE i.indexrelid IN (SELECT unnest(%s::oid[])) ORDER BY c.relpages, 2, 3",
        [list(_tree(database, found.oid))],
    )
    return [Index(**row) for row in rows], found.written


def _allowed(database: Connection, chosen: list[Index], *, named: bool) -> tuple[list[Index], int]:
    """Return the indexes that this login may rebuild, and how many others there are.

    Raises BadAnswer when one of those that were asked for by name is another's.
    """
    rows = database.execute(
        "SELECT c.oid::bigint FROM pg_class c"
        f" WHERE c.oid IN (SELECT unnest(%s::oid[])) AND {may_maintain(database)}",
        [list({each.table_oid for each in chosen})],
    ).fetchall()
    tables = {row["oid"] for row in rows}
    allowed = [each for each in chosen if each.table_oid in tables]
    others = [each for each in chosen if each.table_oid not in tables]
    if others and named:
        first = others[0]
        raise BadAnswer(
            SYSTEM,
            f"Login {login(database)} may not rebuild {first.label}: only the owner of "
            f"{first.on_table} may; use the login {quoted(first.owner)} in database_url.",
        )
    return allowed, len(others)


def _demand_this_database(database: Connection, name: str) -> None:
    home = name_of(database)
    if name in ("", home):
        return
    rows = database.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    known = [row["datname"] for row in rows]
    if name not in known:
        raise UsageError(f"There is no database '{name}'." + nearest(name, known))
    raise UsageError(
        f"The target's database is '{home}', not '{name}'; "
        "describe the other one as a target of its own in opsnb.toml."
    )


def _tree(database: Connection, oid: int) -> set[int]:
    """Return a relation and, when it is partitioned, all of its partitions."""
    rows = database.execute(
        "SELECT %(oid)s::bigint AS oid UNION"
        " SELECT relid::oid::bigint FROM pg_partition_tree(%(oid)s::oid::regclass)",
        {"oid": oid},
    )
    return {row["oid"] for row in rows}


def _of_tables(database: Connection, tables: set[int]) -> list[Index]:
    """Return the indexes of `tables`, and the invalid ones of their TOAST."""
    rows = database.execute(
        f"{_SELECT} WHERE t.oid IN (SELECT unnest(%s::oid[]))"
        " AND (i.indrelid = t.oid OR NOT i.indisvalid) ORDER BY c.relpages, 2, 3",
        [list(tables)],
    )
    return [Index(**row) for row in rows]


def _without_exclusions(indexes: list[Index], *, named: bool) -> list[Index]:
    """Leave out what PostgreSQL cannot build concurrently; refuse when that alone was asked for."""
    if named and any(each.excludes for each in indexes):
        raise UsageError(
            f"{indexes[0].label} belongs to an exclusion constraint, which cannot be rebuilt "
            "concurrently: give -p concurrently=false in a maintenance window."
        )
    return [each for each in indexes if not each.excludes]


def _demand_nobody_builds(database: Connection, tables: set[int]) -> None:
    seen, unseen = _under_construction(database, tables)
    if not (seen or unseen):
        return
    row = database.execute(
        "SELECT %(oid)s::oid::regclass::text AS name,"
        " (SELECT min(pid) FROM pg_locks JOIN pg_stat_progress_create_index USING (pid)"
        " WHERE relation = %(oid)s::oid) AS pid",
        {"oid": min(seen or unseen)},
    ).fetchone()
    assert row is not None  # a SELECT without FROM returns one row
    raise BadAnswer(
        SYSTEM,
        f"Session {row['pid']} is building an index on {row['name']} now; wait for its end.",
    )


def _demand_room(target: Target, database: Connection, indexes: Sequence[Index]) -> str:
    """Refuse when the largest new copy does not fit; return what else there is to say.

    They are built one after another, and each old one goes when its new one is whole.
    """
    need = max((each.bytes for each in indexes), default=0)
    free = free_bytes(target, database)
    if free is None:
        return " Whether the disk has room for the new copy could not be checked from here."
    if free < need:
        raise Refused(
            f"The largest index takes {need / _MIB:,.0f} MiB and the data directory's disk has "
            f"{free / _MIB:,.0f} MiB free, so the new copy has no room: make room first."
        )
    return ""


def _statements(
    leftovers: list[Index], rebuilt: list[Index], *, concurrently: bool
) -> Iterator[tuple[sql.Composed, Index]]:
    how = sql.SQL("CONCURRENTLY " if concurrently else "")
    for each in leftovers:
        yield sql.SQL("DROP INDEX {}{}").format(how, each.identifier), each
    for each in rebuilt:
        yield sql.SQL("REINDEX INDEX {}{}").format(how, each.identifier), each


@contextmanager
def _nothing_left(
    target: Target, server: Connection, permit: Permit, index: Index, lock_wait_s: float
) -> Iterator[None]:
    """Drop the half-made copy of an index when its building fails within."""
    before = {each.oid for each in _of_tables(server, {index.table_oid}) if each.leftover}
    try:
        yield
    except BaseException:
        # What happened first is told. A leftover that stays is found by the next attempt.
        with suppress(ServiceError):
            _drop_new_leftovers(target, permit, index, before, lock_wait_s)
        raise


def _drop_new_leftovers(
    target: Target, permit: Permit, index: Index, before: set[int], lock_wait_s: float
) -> None:
    with session(target, permit, lock_wait_s=lock_wait_s) as server:
        _demand_nobody_builds(server, {index.table_oid})
        for left in _of_tables(server, {index.table_oid}):
            if left.leftover and left.reachable and left.oid not in before:
                drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(left.identifier)
                for _ in run(target, server, drop):
                    pass


def _summary(rebuilt: list[Index], leftovers: list[Index], *, concurrently: bool) -> str:
    how = "without a lock on writers" if concurrently else "with the table locked"
    names = rebuilt[0].label if len(rebuilt) == 1 else counted(len(rebuilt), "index", "indexes")
    words = f"Rebuild {names}, {how}." if rebuilt else "There is no index to rebuild."
    if leftovers:
        words += f" Drop {counted(len(leftovers), 'index', 'indexes')} that failed attempts left."
    return words


def _effect(
    target: Target, rebuilt: list[Index], leftovers: list[Index], refused: dict[str, str]
) -> Finding:
    """Return whether each index is valid and in a new file, and every leftover is gone."""
    tables = {each.table_oid for each in (*rebuilt, *leftovers)}
    with connection(target, limit_s=_PLAN_S) as database:
        found = {each.label: each for each in _of_tables(database, tables)}
        queries = {
            each.label: _duplicates(database, each)
            for each in found.values()
            if each.label in refused or (each.is_unique and not each.valid and not each.leftover)
        }
    rows: list[Row] = []
    for old in rebuilt:
        new = found.get(old.label)
        rows.append(
            {
                "index": old.label,
                "mib_before": old.bytes / _MIB,
                "mib_after": new.bytes / _MIB if new else None,
                "valid": new.valid if new else False,
                "new": new is not None and new.file != old.file,
            }
        )
    done = sum(row["valid"] and row["new"] for row in rows)
    wrong = [row["index"] for row in rows if not (row["valid"] and row["new"])]
    left = [each for each in found.values() if each.leftover]
    said = [
        _why_not(old, refused, queries.get(old.label, "")) for old in rebuilt if old.label in wrong
    ]
    said += [f"{each.label} was left by a failed attempt{_if_locked(each)}" for each in left]
    if not said:
        return Finding(
            status=Status.OK,
            message=f"{counted(len(rebuilt), 'index', 'indexes')} valid and in new files; "
            "nothing half-made is left.",
            rows=rows,
        )
    more = f"; and {len(said) - _MOST_NAMED} more" if len(said) > _MOST_NAMED else ""
    return Finding(
        status=Status.CRIT,
        message=f"{done} of {counted(len(rebuilt), 'index', 'indexes')} rebuilt. "
        f"{'; '.join(said[:_MOST_NAMED])}{more}.",
        rows=rows,
    )


def _why_not(index: Index, refused: dict[str, str], duplicates: str) -> str:
    """Say why an index was not rebuilt, and what to do first."""
    if not duplicates:
        return f"{index.label} was not rebuilt; plan again to finish it"
    why = refused.get(index.label, "")
    what = f"{index.label} was not rebuilt{': ' if why else ''}{why.rstrip('.')}"
    return f"{what}; remove the duplicates first, which this finds: {duplicates}"


def _if_locked(index: Index) -> str:
    return "" if index.reachable else f"; as superuser: DROP INDEX {index.label};"
