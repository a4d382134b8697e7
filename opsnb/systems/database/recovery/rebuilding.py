"""The live database as a model, and a dump restored beside it and compared with what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection, session
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.archives import Archive, contents_of
from opsnb.systems.database.dumps.contents import Contents, Rows
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.recovery.comparing import COUNT_S, counts, demand_equal, missing_tables
from opsnb.systems.database.recovery.filling import LOCK_WAIT_S, fill, finish
from opsnb.systems.database.recovery.leftout import LeftOut
from opsnb.systems.database.recovery.likeness import Likeness, demand_tablespace, likeness
from opsnb.systems.database.room import free_bytes
from opsnb.systems.database.server import demand_primary, identity
from opsnb.systems.database.words import quoted


@dataclass(frozen=True)
class Live:
    """The live database as it is now."""

    name: str
    login: str
    oid: int
    """It stays the same when the database is renamed."""
    bytes: int
    free: int | None
    like: Likeness
    identity: tuple[str, ...]


@dataclass
class Outcome:
    """What a restore has done so far."""

    contents: Contents | None = None
    """What was compared; None until it was."""
    restored: Rows = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    refused: list[str] = field(default_factory=list)
    """Settings of the live database that the restored one lacks."""
    seconds: float = 0.0


def live_database(database: Connection, host: str) -> Live:
    """Return the connection's database; `host` is where the target's files are.

    Raises an error if this login may not create databases like it here.
    """
    demand_primary(database)
    _demand_creation(database)
    like = likeness(database)
    demand_tablespace(like)
    size = queries.row(database, "database_size")
    return Live(
        name=database.info.dbname,
        login=database.info.user,
        oid=size["oid"],
        bytes=size["bytes"],
        free=free_bytes(database, host),
        like=like,
        identity=identity(database),
    )


def _demand_creation(database: Connection) -> None:
    """Raise BadAnswer if this login may not create databases."""
    right = queries.row(database, "database_creation")
    if not right["creates"]:
        login = quoted(right["user"])
        raise BadAnswer(
            SYSTEM,
            f"Login {login} may not create databases, which a restore needs: as superuser, "
            f"ALTER ROLE {login} CREATEDB; or use another login in the target's URL.",
        )


def rebuilt(
    target: Target, permit: Permit, archive: Archive, name: str, seen: Outcome
) -> Iterator[None]:
    """Restore a dump into the scratch database `name`, and compare it with the dump's contents.

    Raises BadAnswer if it cannot be restored, or differs.
    """
    contents = contents_of(archive)
    with session(target, permit, database=name, lock_wait_s=LOCK_WAIT_S) as server:
        yield from fill(server, archive, seen.left_out)
    with connection(target, name, limit_s=COUNT_S) as restored:
        missing = missing_tables(restored, contents)
        seen.restored = counts(restored, contents.rows)
    demand_equal(contents, seen.restored, missing)
    seen.contents = contents
    if seen.left_out.last:
        with session(target, permit, database=name, lock_wait_s=LOCK_WAIT_S) as server:
            yield from finish(server, archive, seen.left_out)
