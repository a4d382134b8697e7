"""A client of the demo's PostgreSQL that misbehaves, in a process of its own.

    python -m opsnb.demo.holding HOME lock TABLE     leaves a transaction open that locks TABLE
    python -m opsnb.demo.holding HOME idle COUNT     opens COUNT connections and does nothing

It ends when the server has ended all of its connections.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

import psycopg
from psycopg import sql

from opsnb.demo.home import DATABASE, Home, Settings

LOCKER = "report-export"
FLOODER = "stats-collector"


def _connect(home: Home, application: str) -> psycopg.Connection:
    settings = Settings.load(home)
    if settings is None:
        raise SystemExit(f"There is no demo stack in {home.root}.")
    return psycopg.connect(settings.postgres_url(DATABASE), application_name=application)


def _lock(home: Home, table: str) -> list[psycopg.Connection]:
    connection = _connect(home, LOCKER)
    connection.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(table)))
    return [connection]


def _idle(home: Home, count: str) -> list[psycopg.Connection]:
    return [_connect(home, FLOODER) for _ in range(int(count))]


def _hold(connections: list[psycopg.Connection]) -> None:
    """Wait until the server has closed all of them."""
    held = {connection.fileno(): connection for connection in connections}
    while held:
        ended, _, _ = select.select(list(held), [], [])
        for number in ended:
            held.pop(number).close()  # nothing was asked, so what comes is the server's goodbye


if __name__ == "__main__":
    folder, how, what = sys.argv[1:]
    _hold({"lock": _lock, "idle": _idle}[how](Home(Path(folder)), what))
