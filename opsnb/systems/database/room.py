"""The database's size, and the disk space where PostgreSQL keeps it, as far as it can be seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row
from opsnb.systems.database.access import SYSTEM, Connection, connection
from opsnb.systems.database.settings import Database
from opsnb.systems.host.settings import LOCAL, HostSettings

_MIB = 2**20

_HERE = ("", "localhost", "127.0.0.1", "::1")


@check(needs=(SYSTEM,))
def size(target: Target) -> Finding:
    """Size of the database"""
    with connection(target) as database:
        row = database.execute(
            "SELECT current_database() AS name, pg_database_size(current_database()) AS bytes"
        ).fetchone()
        assert row is not None  # a SELECT without FROM returns one row
        free = free_bytes(target, database)
    mib = row["bytes"] / _MIB
    message = f"Database {row['name']} takes {mib:,.1f} MiB"
    if free is not None:
        message += f"; its disk has {free / _MIB:,.0f} MiB free"
    rows: list[Row] = [{"database": row["name"], "size_bytes": row["bytes"], "free_bytes": free}]
    limits = target.threshold("database_size_mib")
    return Finding.measured(round(mib, 1), limits, f"{message}.", rows=rows)


def free_bytes(target: Target, database: Connection) -> int | None:
    """Return the free space below the data directory, or None when it cannot be seen.

    It can be seen when server and directory are on this machine, and this login may know where.
    """
    host = str(conninfo_to_dict(Database.of(target).url).get("host") or "")
    if HostSettings.of(target).address != LOCAL or not (host in _HERE or host.startswith("/")):
        return None
    try:
        with database.transaction():
            row = database.execute("SELECT current_setting('data_directory') AS path").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    try:
        # A forwarded port leads to a server elsewhere, whose directory is not here.
        return shutil.disk_usage(Path(row["path"], "base")).free if row else None
    except OSError:
        return None


def demand_room(free: int | None, needed: int, purpose: str) -> None:
    """Raise BadAnswer when there is less space free than another copy of the database takes."""
    if free is not None and free < needed:
        raise BadAnswer(
            SYSTEM,
            f"To {purpose} takes about {needed / _MIB:,.0f} MiB, and the database's disk has "
            f"{free / _MIB:,.0f} MiB free: make room, or do it on another server.",
        )
