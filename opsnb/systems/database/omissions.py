"""What of a dump this login may not restore, asked before anything is done."""

from __future__ import annotations

from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.systems.database.access import SYSTEM, Connection
from opsnb.systems.database.archives import Archive
from opsnb.systems.database.contents import Contents
from opsnb.systems.database.filling import LeftOut, public_owner

_MANAGED = ("rds_superuser", "cloudsqlsuperuser", "azure_pg_admin", "alloydbsuperuser")
"""Logins of managed servers, which may make more extensions than PostgreSQL's own rules say."""

_BY_SUPERUSER = "only a superuser may create it"


def demand_restorable(database: Connection, archive: Archive, contents: Contents) -> None:
    """Raise BadAnswer when the dump is of a newer server, or calls a function that exists."""
    server = database.info.server_version // 10_000
    if contents.database_major and contents.database_major > server:
        raise BadAnswer(
            SYSTEM,
            f"{archive.path} was dumped from PostgreSQL {contents.database_major}, and this server "
            f"is {server}: restore it into a server of version {contents.database_major} or newer.",
        )
    rows = database.execute(
        "SELECT DISTINCT proname AS name FROM pg_proc WHERE proname = ANY(%s)",
        [list(contents.calls)],
    ).fetchall()
    known = [row["name"] for row in rows] or (contents.extensions and list(contents.calls))
    if known:
        line = archive.line(contents.calls[known[0]])
        raise BadAnswer(
            SYSTEM,
            f"Refused: {archive.path}, {line}: `{known[0]}` is called, which pg_dump does not "
            "write. A backup is data: take the line out if you trust it.",
        )


def foreseen(database: Connection, contents: Contents) -> LeftOut:
    """Return what would be left out, or given to this login in place of its owner."""
    left = LeftOut()
    row = database.execute(
        "SELECT rolsuper AS is_super, EXISTS (SELECT FROM pg_roles m WHERE m.rolname = ANY(%s)"
        " AND pg_has_role(m.oid, 'MEMBER')) AS is_managed"
        " FROM pg_roles WHERE rolname = current_user",
        [list(_MANAGED)],
    ).fetchone()
    assert row is not None  # whoever asks has a role
    _extensions(database, contents, left, may=row["is_super"] or row["is_managed"])
    if not row["is_super"]:
        for subject in contents.superusers_only:
            left.missing[subject] = _BY_SUPERUSER
    for subject in contents.last:
        if subject.startswith("subscription"):
            left.missing[subject] = "it would take what the live one is to get"
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
    rows = database.execute(
        "SELECT a.name, bool_or(v.superuser AND NOT v.trusted) AS is_restricted"
        " FROM pg_available_extensions a"
        " LEFT JOIN pg_available_extension_versions v"
        " ON v.name = a.name AND v.version = a.default_version"
        " WHERE a.name = ANY(%s) GROUP BY 1",
        [list(contents.extensions)],
    ).fetchall()
    known = {row["name"]: row["is_restricted"] for row in rows}
    for name in sorted(contents.extensions - {"plpgsql"}):
        if name not in known:
            left.missing[f"extension {name}"] = "it is not installed on the server"
        elif known[name] and not may:
            left.missing[f"extension {name}"] = _BY_SUPERUSER


def _tablespaces(database: Connection, contents: Contents, left: LeftOut) -> None:
    rows = database.execute(
        "SELECT spcname AS name FROM pg_tablespace WHERE has_tablespace_privilege(oid, 'CREATE')"
    ).fetchall()
    for name in sorted(contents.tablespaces - {row["name"] for row in rows}):
        left.missing[f"tablespace {name}"] = "it is not there, or this login may not use it"


def _strangers(database: Connection, contents: Contents) -> list[str]:
    """Return the owners that this login cannot act for, and those that do not exist."""
    right = "SET" if database.info.server_version >= 160000 else "MEMBER"
    rows = database.execute(
        "SELECT rolname AS name FROM pg_roles WHERE rolname = ANY(%s)"
        " AND (pg_has_role(oid, %s) OR rolname IN ('pg_database_owner', current_user))",
        [list(contents.owners), right],
    ).fetchall()
    known = {row["name"] for row in rows} | {"current_user", "session_user", "current_role"}
    return sorted(set(contents.owners) - known)


def demand_complete(
    target: Target, database: Connection, archive: Archive, left: LeftOut, live: str
) -> None:
    """Raise BadAnswer when the restored database would lack something that the dump has."""
    if not left:
        return
    login = database.info.user
    row = database.execute(
        "SELECT rolname AS name FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1"
    ).fetchone()
    other = f"a superuser such as {row['name']}" if row else "a superuser"
    raise BadAnswer(
        SYSTEM,
        f"{live} cannot be replaced whole from {archive.path.name} by login {login}: "
        f"{left.sentence(login)}. Use a login that may, {other}, in the database url of target "
        f"{target.name}; or restore without swap=true, to look at it.",
    )
