"""A scratch database: created beside the live one and like it, and dropped if anything fails.

A comment marks it as opsnb's. A database without that mark is never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError
from opsnb.systems.database import queries
from opsnb.systems.database.commands import run
from opsnb.systems.database.connecting import session
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.recovery.likeness import Likeness, creation, grants
from opsnb.systems.database.words import quoted

_NAME_BYTES = 63
_MARK = "opsnb: scratch database of "


def named(live: str, what: str, stamp: str) -> str:
    """Return `live_what_stamp`, cut to the length that PostgreSQL takes."""
    tail = f"_{what}_{stamp.lower()}"
    head = live.encode()[: _NAME_BYTES - len(tail)].decode(errors="ignore")
    return head + tail


@contextmanager
def scratch(target: Target, permit: Permit, name: str, like: Likeness) -> Iterator[None]:
    """Create the database `name` like the live one; drop it if anything within fails.

    It opens its own sessions, because the restore within may outlive a connection.
    """
    with session(target, permit) as server:
        for _ in run(target, server, creation(name, like)):
            pass
        mark = f"{_MARK}{like['facts']['datname']}"
        server.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), mark))
    try:
        with session(target, permit) as server:
            for statement in grants(name, like):
                server.execute(statement)
        yield
    except BaseException as error:
        try:
            with session(target, permit) as server:
                drop(server, name)
        except ServiceError:
            raise BadAnswer(
                SYSTEM,
                f"{error} The scratch database is still there; when the server is back: "
                f"DROP DATABASE {quoted(name)};",
            ) from error
        raise


def drop(server: Connection, name: str) -> None:
    """Drop a scratch database, and end the sessions in it. `server` is in autocommit mode."""
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def databases(database: Connection) -> dict[str, dict[str, bool]]:
    """Return all databases by name: `is_used` by a client, and `is_ours`, a scratch database."""
    rows = queries.rows(database, "scratch_databases", mark=_MARK)
    return {row["name"]: row for row in rows}
