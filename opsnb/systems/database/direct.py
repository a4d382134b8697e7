"""PostgreSQL itself, past a pooler: what a dump, a restore and a swap need."""

from __future__ import annotations

from opsnb.errors import Misconfigured
from opsnb.systems.database.access import SYSTEM, Connection, connection, place
from opsnb.target import Target


def direct(target: Target) -> Target:
    """Return the target with the address of PostgreSQL itself.

    Raises Misconfigured when its database is only reached through a pooler, or `direct_url` leads
    to another one.
    """
    with connection(target) as database:
        pooled, seen = is_pooled(database), _facts(database)
    if not target.database.direct_url:
        if not pooled:
            return target
        raise Misconfigured(
            SYSTEM,
            f"{place(target)} is reached through a pooler, which does not know new databases and "
            "does not keep a session; this needs PostgreSQL itself: set its own address as "
            f"direct_url in [targets.{target.name}.database] of opsnb.toml.",
        )
    table = target.database.model_dump()
    found = target.changed(database={**table, "url": table["direct_url"], "direct_url": ""})
    with connection(found) as database:
        if is_pooled(database):
            raise Misconfigured(
                SYSTEM,
                f"direct_url ({place(found)}) leads through a pooler as well: set the address of "
                f"PostgreSQL itself in [targets.{target.name}.database] of opsnb.toml.",
            )
        if _facts(database) != seen:
            raise Misconfigured(
                SYSTEM,
                f"direct_url ({place(found)}) leads to another database than url "
                f"({place(target)}): correct it in [targets.{target.name}.database].",
            )
    return found


def is_pooled(database: Connection) -> bool:
    """Whether something stands between us and the server process that serves us.

    A pooler hands out a process number of its own, with which a statement would be cancelled.
    """
    row = database.execute("SELECT pg_backend_pid() AS pid").fetchone()
    return bool(row and row["pid"] != database.info.backend_pid)


def _facts(database: Connection) -> tuple[object, ...]:
    row = database.execute(
        "SELECT oid::bigint, datname, pg_postmaster_start_time()::text AS started"
        " FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None  # the database that one is in exists
    return tuple(row.values())
