"""Connections to PostgreSQL: for reading, for quick changes, for long ones, and for rehearsals.

opsnb never changes a session's settings where a pooler may hand the session on to the service:
limits hold for one transaction (`SET LOCAL`), and no statement is prepared under a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
from psycopg import sql

from opsnb.actions.action import Permit, require
from opsnb.config.target import Target
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.driver import APPLICATION, driver_errors, opened
from opsnb.systems.database.pooler import own_session
from opsnb.systems.database.server import demand_primary

LOCK_WAIT_S = 10.0
"""How long a change waits for a lock, unless a parameter says otherwise."""
_SHARE = 0.8  # of the time limit of a statement that reads, for its wait for locks


@contextmanager
def connection(
    target: Target, database: str = "", *, limit_s: float | None = None
) -> Iterator[Connection]:
    """Yield a read-only connection in one transaction, with a time limit for each statement.

    A statement that waits for a lock fails before that. `database` is another one of the same
    server. `limit_s` replaces the target's time limit where rows are counted.
    """
    with driver_errors(target), opened(target, database) as connected:
        connected.read_only = True
        connected.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        limit_s = limit_s or target.time_limit_s
        # Shorter, so that a wait for a lock is told from a slow answer.
        lock_wait_s = _SHARE * min(limit_s, LOCK_WAIT_S)
        _bounded_locally(connected, statement_timeout=limit_s, lock_timeout=lock_wait_s)
        yield connected


@contextmanager
def writing(target: Target, permit: Permit) -> Iterator[Connection]:
    """Yield a connection that may write, each statement a transaction of its own.

    It changes no setting of its session, so it may lead through a pooler. For quick statements, and
    for transactions limited by `bound`. Raises Refused without a valid permit.
    """
    require(permit)
    # Closed without a rollback, which would wait for a statement that still runs.
    with driver_errors(target, bounded=False), closing(opened(target)) as connected:
        connected.autocommit = True
        yield connected


@contextmanager
def session(
    target: Target, permit: Permit, *, database: str = "", lock_wait_s: float = LOCK_WAIT_S
) -> Iterator[Connection]:
    """Yield a session of its own that may write, each statement a transaction of its own.

    It goes by `direct_url` where there is one. A statement may run without limit, but waits at most
    `lock_wait_s` for a lock. Raises Refused without a valid permit, and through a pooler.
    """
    require(permit)
    with (
        driver_errors(target, bounded=False),
        closing(own_session(target, database)) as connected,
    ):
        settings = {"lock_timeout": lock_wait_s, "statement_timeout": 0}
        settings |= dict.fromkeys(_other_limits(connected), 0)
        for name, seconds in settings.items():
            connected.execute("SELECT set_config(%s, %s, false)", [name, _ms(seconds)])
        yield connected


@contextmanager
def rehearsal(target: Target, *, limit_s: float, lock_wait_s: float) -> Iterator[Connection]:
    """Yield a connection that may write, in one transaction that is rolled back at the end.

    Nobody else sees what is done in it. A statement may take `limit_s` seconds and wait
    `lock_wait_s` for a lock. Raises BadAnswer where nothing can be written.
    """
    # Closed without a commit: the server rolls back, even if this process is killed.
    with driver_errors(target), closing(opened(target)) as connected:
        bound(connected, limit_s=limit_s, lock_wait_s=lock_wait_s)
        demand_primary(connected)
        yield connected


def bound(database: Connection, *, limit_s: float, lock_wait_s: float) -> None:
    """Limit each statement of the current transaction, in seconds; 0 is no limit."""
    _bounded_locally(database, statement_timeout=limit_s, lock_timeout=lock_wait_s)


def _bounded_locally(database: Connection, **limits: float) -> None:
    """Set the name, the limits and the output formats of the current transaction."""
    settings = {
        "application_name": APPLICATION,
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "bytea_output": "hex",
        **{name: _ms(seconds) for name, seconds in limits.items()},
        **dict.fromkeys(_other_limits(database), "0"),
    }
    calls = [sql.SQL("set_config({}, {}, true)").format(*setting) for setting in settings.items()]
    database.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls)))


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _other_limits(database: Connection) -> Iterator[str]:
    """Yield further limits that a role may have, which would end a long statement."""
    if database.info.server_version >= 170000:
        yield "transaction_timeout"
