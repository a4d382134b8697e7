"""Which indexes are to be rebuilt, and whether they can be now."""

from __future__ import annotations

from opsnb.errors import BadAnswer, Refused, UsageError
from opsnb.params import ReindexKind
from opsnb.systems.database import queries, relations
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.indexes import Index, being_built, read_indexes
from opsnb.systems.database.relations import nearest
from opsnb.systems.database.room import free_bytes
from opsnb.systems.database.server import name_of
from opsnb.systems.database.sight import login
from opsnb.systems.database.words import quoted
from opsnb.view.formats import MIB


def chosen_indexes(database: Connection, kind: ReindexKind, name: str) -> tuple[list[Index], str]:
    """Return the chosen indexes, and the name as SQL writes it."""
    if kind == "database":
        _demand_this_database(database, name)
        return read_indexes(database, "database"), quoted(name) if name else ""
    if not name and kind == "index":
        return read_indexes(database, "invalid"), "..."
    if not name:
        raise UsageError(f"Say which {kind}: -p name=...")
    if kind == "table":
        found = relations.table(database, name)
        return read_indexes(database, "tables", _tree(database, found.oid)), found.written
    found = relations.index(database, name)
    return read_indexes(database, "indexes", _tree(database, found.oid)), found.written


def allowed_indexes(
    database: Connection, chosen: list[Index], *, named: bool
) -> tuple[list[Index], int]:
    """Return the indexes that this login may rebuild, and how many others there are.

    Raises BadAnswer if an index that was named belongs to another login.
    """
    owned = {each.table_oid for each in chosen}
    tables = {
        row["oid"] for row in queries.rows(database, "maintainable_tables", tables=list(owned))
    }
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
    return {row["oid"] for row in queries.rows(database, "partition_tree", relation=oid)}


def without_exclusions(indexes: list[Index], *, named: bool) -> list[Index]:
    """Skip the indexes that PostgreSQL cannot build concurrently; refuse if one was named."""
    if named and any(each.excludes for each in indexes):
        raise UsageError(
            f"{indexes[0].label} belongs to an exclusion constraint, which cannot be rebuilt "
            "concurrently: add -p concurrently=false, in a maintenance window."
        )
    return [each for each in indexes if not each.excludes]


def demand_nobody_builds(database: Connection, tables: set[int]) -> None:
    """Raise BadAnswer while another session builds an index on one of `tables` (oids)."""
    seen, unseen = being_built(database, tables)
    if not (seen or unseen):
        return
    row = queries.row(database, "index_builder", table=min(seen or unseen))
    raise BadAnswer(
        SYSTEM,
        f"Session {row['pid']} is building an index on {row['name']}; wait until it has finished.",
    )


def demand_room(database: Connection, host: str, indexes: list[Index]) -> str:
    """Refuse if the largest new copy does not fit on the disk; return a remark, if any.

    They are built one after another, and each old one is dropped when its new one is complete.
    """
    need = max((each.bytes for each in indexes), default=0)
    free = free_bytes(database, host)
    if free is None:
        return " The free space on the database's disk cannot be checked from here."
    if free < need:
        raise Refused(
            f"A copy of the largest index takes {need / MIB:,.0f} MiB, and the data directory's "
            f"disk has {free / MIB:,.0f} MiB free: make room first."
        )
    return ""
