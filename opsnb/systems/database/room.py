"""Disk space where PostgreSQL keeps its data, as far as it can be seen from here."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from opsnb.systems.database.access import Connection
from opsnb.target import LOCAL, Target

_HERE = ("", "localhost", "127.0.0.1", "::1")


def free_bytes(target: Target, database: Connection) -> int | None:
    """Return the free space below the data directory, or None when it cannot be seen.

    It can be seen when server and directory are on this machine, and this login may know where.
    """
    host = str(conninfo_to_dict(target.database_url).get("host") or "")
    if target.host != LOCAL or not (host in _HERE or host.startswith("/")):
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
