"""What the server reports of itself: INFO, its databases and its clock."""

from __future__ import annotations

import time
from typing import Any

import redis

from opsnb.checks import evidence
from opsnb.errors import BadAnswer, ParameterError
from opsnb.systems.cache.connecting import Connection
from opsnb.systems.cache.refusals import refusal
from opsnb.systems.cache.server import SYSTEM


def chosen_database(client: Connection, db: str) -> int:
    """Return the number of the database `db`; of the one that `client` is connected to if empty.

    Raises ParameterError when the server has no such database.
    """
    if not db:
        return client.db
    try:
        client.raw(int(db)).ping()
    except ValueError:
        reason = "a database has a number"
    except redis.ResponseError as error:
        if "out of range" not in str(error):
            raise
        reason = "the server has no such database"
    else:
        return int(db)
    filled = ", ".join(map(str, filled_databases(read_info(client)))) or "none"
    raise ParameterError(f"db={db} cannot be used: {reason}. Databases with keys: {filled}.")


def filled_databases(info: dict[str, Any]) -> list[int]:
    """Return the numbers of the databases that hold keys, from INFO."""
    return sorted(int(name[2:]) for name in info if name.startswith("db") and name[2:].isdigit())


def read_info(client: redis.Redis, *sections: str) -> dict[str, Any]:
    """Return INFO. Raises BadAnswer on a node of a cluster, which reports only itself."""
    found: dict[str, Any] = client.info(*sections)
    if not sections and found.get("cluster_enabled"):
        raise BadAnswer(
            SYSTEM,
            "Redis runs in cluster mode, which opsnb does not support: this node reports its own "
            "keys alone. Use redis-cli --cluster.",
        )
    return found


def known_info(client: Connection) -> dict[str, Any]:
    """Return INFO, or nothing where this login may not run it."""
    try:
        return read_info(client)
    except redis.ResponseError as error:
        evidence.without(f"the server's role and mode: Redis {refusal(client.login, error)}")
        return {}


def figure(info: dict[str, Any], name: str) -> int:
    """Return a number of INFO. Raises BadAnswer where this server does not report it."""
    try:
        return int(info[name])
    except (KeyError, TypeError, ValueError):
        raise BadAnswer(SYSTEM, f"This Redis does not report {name} in INFO.") from None


def server_time_s(client: redis.Redis) -> int:
    """Return the server's clock; this machine's where TIME is not permitted."""
    try:
        found: Any = client.time()
    except redis.ResponseError:
        return int(time.time())
    return int(found[0])


def demand_writable(info: dict[str, Any]) -> None:
    """Raise BadAnswer when the server is a read-only replica."""
    if info.get("role") == "slave" and info.get("slave_read_only", 1):
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        raise BadAnswer(SYSTEM, f"This Redis is a read-only replica of {primary}; use its primary.")
