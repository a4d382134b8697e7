"""Poolers: whether one is in between, and the way past it for what needs a session of its own."""

from __future__ import annotations

import time
from contextlib import closing

from opsnb.config.target import Target
from opsnb.errors import Misconfigured, Refused
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.driver import driver_errors, opened
from opsnb.systems.database.failures import SYSTEM, place
from opsnb.systems.database.server import whereabouts
from opsnb.systems.database.settings import Database

_OLDER_S = 1.0
_TURNS = 4


def has_pooler(connected: Connection, began: float) -> bool:
    """Return whether a pooler answers, and not the server itself.

    A pooler gives its clients a process id that it made up, or an old session. `began` is when the
    connection was opened, by the monotonic clock.
    """
    session = queries.row(connected, "server_session")
    ours_s = time.monotonic() - began + _OLDER_S
    is_other = session["pid"] != connected.pgconn.backend_pid
    return is_other or (session["age_s"] or 0) > ours_s


def demand_session(target: Target, why: str) -> None:
    """Raise Refused if `why`, a command that needs a session of its own, would go through a pooler.

    Raises Misconfigured if `direct_url` leads elsewhere.
    """
    with driver_errors(target), closing(own_session(target, why=why)):
        return


def own_session(target: Target, database: str = "", *, why: str = "This") -> Connection:
    """Return a session that nobody shares, in autocommit mode."""
    began = time.monotonic()
    connected = opened(target, database, direct=True)
    try:
        connected.autocommit = True
        if Database.of(target).direct_url:
            _demand_same(target, connected, database)
        if has_pooler(connected, began):
            _demand_whole_sessions(target, connected, database, why)
    except BaseException:
        connected.close()
        raise
    return connected


def _demand_whole_sessions(target: Target, connected: Connection, database: str, why: str) -> None:
    """Raise if the pooler hands sessions on between transactions, or if that is not known."""
    if not Database.of(target).direct_url:
        raise Refused(
            f"{why} needs a session of its own, and database_url of target {target.name} leads "
            "through a pooler, which would hand the session's settings on to the service. Set "
            f"direct_url in [targets.{target.name}.database] to the server itself (or, if the "
            "pooler keeps whole sessions apart, to the same URL)."
        )
    # Several times: a pooler may use its server connections in turn.
    ours = {_pid(connected) for _ in range(_TURNS)}
    with closing(opened(target, database, direct=True)) as other:
        theirs = _pid(other)
    if len(ours) > 1 or theirs in ours:
        raise Misconfigured(
            SYSTEM,
            f"direct_url in [targets.{target.name}.database] leads through a pooler that shares "
            "sessions between transactions; set it to the server itself.",
        )


def _pid(database: Connection) -> int:
    (pid,) = (row["pid"] for row in database.execute("SELECT pg_backend_pid() AS pid"))
    return int(pid)


def _demand_same(target: Target, direct: Connection, database: str) -> None:
    """Raise Misconfigured if `direct_url` leads to another database than `database_url`."""
    with closing(opened(target)) as usual:
        found = [whereabouts(each) for each in (usual, direct)]
    if database:  # another one of the same server was asked for
        found = [(started, "") for started, _ in found]
    if found[0] != found[1]:
        raise Misconfigured(
            SYSTEM,
            f"direct_url in [targets.{target.name}.database] leads to another server or database "
            "than database_url; correct it.",
        )


def direct(target: Target) -> Target:
    """Return the target with the address of PostgreSQL itself, for dump, restore and swap.

    Raises Misconfigured if its database is only reached through a pooler, or `direct_url` leads to
    another database.
    """
    pooled, seen = _reached(target)
    if not Database.of(target).direct_url:
        if not pooled:
            return target
        raise Misconfigured(
            SYSTEM,
            f"{place(target)} is reached through a pooler, which does not know new databases and "
            "does not keep a session; this needs PostgreSQL itself: set its own address as "
            f"direct_url in [targets.{target.name}.database] of opsnb.toml.",
        )
    table = Database.of(target).model_dump()
    found = target.changed(database={**table, "url": table["direct_url"], "direct_url": ""})
    pooled, there = _reached(found)
    if pooled:
        raise Misconfigured(
            SYSTEM,
            f"direct_url ({place(found)}) leads through a pooler as well: set the address of "
            f"PostgreSQL itself in [targets.{target.name}.database] of opsnb.toml.",
        )
    if there != seen:
        raise Misconfigured(
            SYSTEM,
            f"direct_url ({place(found)}) leads to another database than url "
            f"({place(target)}): correct it in [targets.{target.name}.database].",
        )
    return found


def _reached(target: Target) -> tuple[bool, tuple[str, str]]:
    """Return whether a pooler answers, and which server and database stand behind it."""
    began = time.monotonic()
    with driver_errors(target), opened(target) as connected:
        connected.read_only = True
        return has_pooler(connected, began), whereabouts(connected)
