"""PostgreSQL as a dependency of the service: whether it is up, and how to start it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import psycopg
from psycopg.conninfo import conninfo_to_dict

from opsnb.config.target import Target
from opsnb.systems.database.readiness import ping
from opsnb.systems.database.settings import Database
from opsnb.systems.dependencies import Dependency, Place, ask

_SOCKETS = ("/var/run/postgresql", "/tmp")


def dependency(target: Target) -> Dependency | None:
    """Return the state of PostgreSQL; if only its pooler is down, PostgreSQL counts as running.

    None if the target has no database.
    """
    settings = Database.of(target)
    found = _asked(target, settings.restart)
    if found is None or not found.is_away or not settings.direct_url:
        return found
    direct = _asked(target.changed(database_url=settings.direct_url), settings.restart)
    if direct is None or direct.is_away:
        return found
    said = f"{found.said.rstrip('.')}, but the server itself accepts connections: check the pooler."
    return replace(found, state="refuses", said=said)


def _asked(target: Target, command: Sequence[str]) -> Dependency | None:
    places = _places(Database.of(target).conninfo)
    return ask(target, "database", ping, command, places)


def _places(conninfo: str) -> list[Place]:
    """Return where PostgreSQL listens; empty if a service file says so."""
    try:
        parts = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        return []
    if "service" in parts and not ("host" in parts or "hostaddr" in parts):
        return []
    given = parts.get("hostaddr") or parts.get("host") or os.environ.get("PGHOST", "")
    hosts = str(given).split(",") if given else list(_SOCKETS)
    ports = str(parts.get("port") or os.environ.get("PGPORT", "")).split(",")
    found: list[Place] = []
    for place, host in enumerate(hosts):
        text = ports[place] if place < len(ports) and given else ports[0]
        port = int(text) if text.isdecimal() else 5432
        found.append(
            f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host or "localhost", port)
        )
    return found
