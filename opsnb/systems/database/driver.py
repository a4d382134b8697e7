"""Opening a connection to PostgreSQL, and mapping what its driver raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from opsnb.config.target import Target
from opsnb.errors import NotConfigured, ServiceError
from opsnb.systems.database.cursor import Connection, Cursor, Text
from opsnb.systems.database.failures import SYSTEM, mapped
from opsnb.systems.database.server import demand_primary
from opsnb.systems.database.settings import Database

APPLICATION = "opsnb"
"""The application name of opsnb's own sessions, so that it never ends them as long queries."""


def opened(target: Target, database: str = "", *, direct: bool = False) -> Connection:
    """Return a connection; `database` is another one of the same server.

    `direct` goes past a pooler, by `direct_url` where there is one. Raises psycopg.Error.
    """
    settings = Database.of(target)
    conninfo = settings.direct_conninfo if direct else settings.conninfo
    changed = {"dbname": database} if database else {}
    if direct:
        # Not through a pooler: the service's session would keep the name after the transaction.
        changed["application_name"] = APPLICATION
    connection = psycopg.connect(
        make_conninfo(conninfo, **changed),
        # libpq rounds anything below 2 s up to 2 s
        connect_timeout=max(2, round(target.time_limit_s)),
        # A prepared statement outlives the transaction; in a pooler another client would get it.
        prepare_threshold=None,
        row_factory=psycopg.rows.dict_row,
        cursor_factory=Cursor,
    )
    for name in ("text", "varchar", "bpchar", "name"):
        connection.adapters.register_loader(name, Text)
    return connection


@contextmanager
def driver_errors(target: Target, *, bounded: bool = True) -> Iterator[None]:
    """Raise a ServiceError for every psycopg error within.

    `bounded` says whether a cancelled statement was cancelled by the target's time limit.
    """
    if not Database.of(target).url:
        message = f"Target {target.name} names no database: set database_url in opsnb.toml."
        raise NotConfigured(SYSTEM, message)
    try:
        yield
    except ServiceError:
        raise
    except psycopg.Error as error:
        failure = mapped(target, error, bounded=bounded)
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            _explain_read_only(target)
        raise failure from error


def _explain_read_only(target: Target) -> None:
    """Raise the reason why nothing can be written, if it can be found."""
    try:
        with closing(opened(target)) as connection:
            demand_primary(connection)
    except psycopg.Error:
        return  # the first error stands
