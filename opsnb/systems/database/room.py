"""The database's size, and the free space on the server's disk if it can be read from here."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.host.settings import LOCAL, HostSettings
from opsnb.view.formats import MIB

_HERE = ("", "localhost", "127.0.0.1", "::1")


@check(needs=(SYSTEM,))
def size(target: Target) -> Finding:
    """Size of the database"""
    with connection(target) as database:
        row = queries.row(database, "database_size")
        free = free_bytes(database, HostSettings.of(target).address)
    mib = row["bytes"] / MIB
    message = f"Database {row['name']} takes {mib:,.1f} MiB"
    if free is not None:
        message += f"; its disk has {free / MIB:,.0f} MiB free"
    rows: list[Row] = [{"database": row["name"], "size_bytes": row["bytes"], "free_bytes": free}]
    limits = target.threshold("database_size_mib")
    return Finding.measured(round(mib, 1), limits, f"{message}.", rows=rows)


def free_bytes(database: Connection, host: str) -> int | None:
    """Return the free space on the disk of the data directory, or None if it cannot be read.

    It can be read if `host`, where the target's files are, and the server are this machine, and
    this login may know the directory.
    """
    server = database.info.host
    if host != LOCAL or not (server in _HERE or server.startswith("/")):
        return None
    try:
        with database.transaction():
            row = database.execute("SELECT current_setting('data_directory') AS path").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    try:
        # A forwarded port leads to a server elsewhere, whose directory does not exist here.
        return shutil.disk_usage(Path(row["path"], "base")).free if row else None
    except OSError:
        return None


def demand_room(free: int | None, needed: int, purpose: str) -> None:
    """Raise BadAnswer if less space is free than another copy of the database takes."""
    if free is not None and free < needed:
        raise BadAnswer(
            SYSTEM,
            f"To {purpose} takes about {needed / MIB:,.0f} MiB, and the database's disk has "
            f"{free / MIB:,.0f} MiB free: make room, or use another server.",
        )
