"""PostgreSQL itself, past a pooler: what a dump, a restore and a swap need."""

from __future__ import annotations

import time

from opsnb.config.target import Target
from opsnb.errors import Misconfigured
from opsnb.systems.database.access import SYSTEM, connection, has_pooler, place, whereabouts
from opsnb.systems.database.settings import Database


def direct(target: Target) -> Target:
    """Return the target with the address of PostgreSQL itself.

    Raises Misconfigured when its database is only reached through a pooler, or `direct_url` leads
    to another one.
    """
    began = time.monotonic()
    with connection(target) as database:
        pooled, seen = has_pooler(database, began), whereabouts(database)
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
    began = time.monotonic()
    with connection(found) as database:
        if has_pooler(database, began):
            raise Misconfigured(
                SYSTEM,
                f"direct_url ({place(found)}) leads through a pooler as well: set the address of "
                f"PostgreSQL itself in [targets.{target.name}.database] of opsnb.toml.",
            )
        if whereabouts(database) != seen:
            raise Misconfigured(
                SYSTEM,
                f"direct_url ({place(found)}) leads to another database than url "
                f"({place(target)}): correct it in [targets.{target.name}.database].",
            )
    return found
