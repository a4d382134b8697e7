"""What of a dump this login may not restore, found out before anything is done."""

from __future__ import annotations

from opsnb.errors import BadAnswer
from opsnb.systems.database import queries
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.archives import Archive
from opsnb.systems.database.dumps.contents import Contents
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.recovery.leftout import LeftOut, public_owner
from opsnb.systems.database.server import major_version

_BY_SUPERUSER = "only a superuser may create it"


def demand_restorable(database: Connection, archive: Archive, contents: Contents) -> None:
    """Raise BadAnswer if the dump is of a newer server, or calls a function that exists."""
    server = major_version(database)
    if contents.database_major and contents.database_major > server:
        raise BadAnswer(
            SYSTEM,
            f"{archive.path} was dumped from PostgreSQL {contents.database_major}, and this server "
            f"is {server}: restore it into a server of version {contents.database_major} or newer.",
        )
    rows = queries.rows(database, "called_functions", names=list(contents.calls))
    known = [row["name"] for row in rows] or (contents.extensions and list(contents.calls))
    if known:
        line = archive.line(contents.calls[known[0]])
        raise BadAnswer(
            SYSTEM,
            f"Refused: {archive.path}, {line}: it calls `{known[0]}`, which pg_dump does not "
            "write. A backup is data: remove the line if you trust it.",
        )


def foreseen(database: Connection, contents: Contents) -> LeftOut:
    """Return what would be left out, or given to this login instead of its owner."""
    left = LeftOut()
    row = queries.row(database, "superuser")
    _extensions(database, contents, left, may=row["is_super"] or row["is_managed"])
    if not row["is_super"]:
        for subject in contents.superusers_only:
            left.missing[subject] = _BY_SUPERUSER
    for subject in contents.last:
        if subject.startswith("subscription"):
            left.missing[subject] = "it would take the changes that the live database should get"
        elif not row["is_super"]:
            left.missing[subject] = _BY_SUPERUSER
    _tablespaces(database, contents, left)
    for owner in _strangers(database, contents):
        left.given[owner] = [
            subject
            for subject in contents.owners[owner]
            if subject not in left.missing
            and not (subject == "schema public" and public_owner(database) == owner)
        ]
    left.given = {owner: subjects for owner, subjects in left.given.items() if subjects}
    return left


def _extensions(database: Connection, contents: Contents, left: LeftOut, *, may: bool) -> None:
    rows = queries.rows(database, "extensions", names=list(contents.extensions))
    known = {row["name"]: row["is_restricted"] for row in rows}
    for name in sorted(contents.extensions - {"plpgsql"}):
        if name not in known:
            left.missing[f"extension {name}"] = "it is not installed on the server"
        elif known[name] and not may:
            left.missing[f"extension {name}"] = _BY_SUPERUSER


def _tablespaces(database: Connection, contents: Contents, left: LeftOut) -> None:
    usable = {row["name"] for row in queries.rows(database, "tablespaces")}
    for name in sorted(contents.tablespaces - usable):
        left.missing[f"tablespace {name}"] = "it does not exist, or this login may not use it"


def _strangers(database: Connection, contents: Contents) -> list[str]:
    """Return the owners that do not exist, or that this login cannot act for."""
    rows = queries.rows(database, "owners", names=list(contents.owners))
    known = {row["name"] for row in rows} | {"current_user", "session_user", "current_role"}
    return sorted(set(contents.owners) - known)


def demand_complete(database: Connection, archive: Archive, left: LeftOut) -> None:
    """Raise BadAnswer if the restored database would lack something that the dump has."""
    if not left:
        return
    live, login = database.info.dbname, database.info.user
    row = database.execute(
        "SELECT rolname AS name FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1"
    ).fetchone()
    other = f"a superuser such as {row['name']}" if row else "a superuser"
    raise BadAnswer(
        SYSTEM,
        f"{live} cannot be replaced whole from {archive.path.name} by login {login}: "
        f"{left.sentence(login)}. Use a login that may, {other}, in the database url of target "
        f"{archive.restorer.target.name}; or restore without swap=true, to inspect it.",
    )
