"""Which server and database a connection leads to, and whether it can be written to."""

from __future__ import annotations

from typing import Any

from opsnb.errors import BadAnswer, Misconfigured
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.words import quoted


def identity(database: Connection) -> tuple[str, ...]:
    """Return what distinguishes this server and database from any other, after a failover too."""
    found = queries.row(database, "server")
    return tuple(str(found[key]) for key in ("name", "host", "port", "started"))


def whereabouts(database: Connection) -> tuple[str, str]:
    """Return when the server was started, to the microsecond, and the database's name."""
    found = queries.row(database, "server")
    return found["started_s"], found["name"]


def name_of(database: Connection) -> str:
    """Return the database's own name; a pooler may have it under another."""
    return whereabouts(database)[1]


def major_version(database: Connection) -> int:
    """Return the server's major version."""
    return database.info.server_version // 10_000


def demand_primary(database: Connection) -> None:
    """Raise BadAnswer on a replica, where nothing can be changed.

    Raises Misconfigured if the login, or the database for it, is read-only by default.
    """
    found = queries.row(database, "writable")
    if found["replica"]:
        message = (
            f"PostgreSQL at {_place(database)} is a read-only replica; run this on the primary."
        )
        raise BadAnswer(SYSTEM, message)
    if found["read_only"]:
        raise Misconfigured(SYSTEM, _read_only(database, found))


def _place(database: Connection) -> str:
    return f"{database.info.host}:{database.info.port}/{database.info.dbname}"


def _read_only(database: Connection, found: dict[str, Any]) -> str:
    """Say who made the login's transactions read-only, and how to undo it."""
    name = "default_transaction_read_only"
    login, base = (quoted(found[key]) for key in ("login", "database"))
    other = "use another login in database_url"
    match found["source"]:
        case "user":
            return f"Login {login} has {name} = on; {other}, or ALTER ROLE {login} RESET {name}."
        case "database user":
            return (
                f"Login {login} has {name} = on in database {base}; {other}, or "
                f"ALTER ROLE {login} IN DATABASE {base} RESET {name}."
            )
        case "database":
            return (
                f"Database {base} has {name} = on; to undo it: ALTER DATABASE {base} RESET {name}."
            )
        case "client" | "environment variable":
            return (
                f"The options of database_url set {name} = on for login {login}; remove it there."
            )
        case _:
            return (
                f"PostgreSQL at {_place(database)} has {name} = on for every login; set it to off "
                "in its configuration."
            )
