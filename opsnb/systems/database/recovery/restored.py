"""Whether a restore had its effect: the databases that exist now, compared with the backup."""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.contents import Contents, Rows
from opsnb.systems.database.recovery.comparing import COUNT_S, counts, missing_tables, side_by_side
from opsnb.systems.database.recovery.rebuilding import Outcome
from opsnb.systems.database.words import quoted
from opsnb.view.formats import counted


@dataclass(frozen=True)
class Names:
    """The databases of one restore."""

    live: str
    scratch: str
    before: str
    """The live one's name after the swap."""


def effects(  # noqa: PLR0913 - each is part of the intended effect
    target: Target, names: Names, seen: Outcome, live_oid: int, login: str, *, swap: bool
) -> list[Finding]:
    """Compare the restored database with the backup, and say what it lacks."""
    found = [_effect(target, names, seen, live_oid, swap=swap)]
    parts = lacking(seen, login)
    if parts and found[0].status is not Status.CRIT:
        message = f"{names.scratch} differs from {names.live}: {parts}."
        # All rows came back, so that the restore itself is done.
        found.append(Finding(status=Status.WARN, message=message, settled=True))
    return found


def lacking(seen: Outcome, login: str) -> str:
    """Return what the restored database lacks; empty if nothing."""
    parts = [seen.left_out.sentence(login)] if seen.left_out else []
    parts += [f"not carried over: {', '.join(seen.refused)}"] if seen.refused else []
    return "; ".join(parts)


def existing(database: Connection, names: Names) -> set[str]:
    """Return which of the databases exist."""
    rows = database.execute(
        "SELECT datname FROM pg_database WHERE datname = ANY(%s)",
        [[names.live, names.scratch, names.before]],
    )
    return {row["datname"] for row in rows}


def _effect(target: Target, names: Names, seen: Outcome, live_oid: int, *, swap: bool) -> Finding:
    with connection(target) as database:
        there = existing(database, names)
        former = _named_now(database, live_oid)
    place, other = (names.live, former) if swap else (names.scratch, names.live)
    if swap and former == names.live:
        message = f"{names.live} is still the same database: nothing was swapped."
        return Finding(status=Status.CRIT, message=message)
    if place not in there:
        message = f"There is no database {place}: the restore was not completed."
        return Finding(status=Status.CRIT, message=message)
    if seen.contents is None:
        message = f"{place} was not compared with the backup: the restore was not completed."
        return Finding(status=Status.CRIT, message=message)
    held = seen.contents.rows
    with connection(target, place, limit_s=COUNT_S) as database:
        restored = counts(database, held, seen.restored)
        missing = missing_tables(database, seen.contents)
    beside: Rows = {}
    if other:
        with connection(target, other, limit_s=COUNT_S) as database:
            beside = counts(database)
    others = {"restored": restored, "old_database" if swap else "live_now": beside}
    rows = side_by_side(held, **others)
    if swap:
        # The service writes to it already, so its numbers differ from the backup's.
        good = names.scratch not in there and set(held) <= set(restored)
    else:
        good = all(restored.get(key, count) == count for key, count in held.items())
    if missing or not good:
        message = f"{place} differs from the backup; see the rows that differ."
        return Finding(status=Status.CRIT, message=message, rows=rows)
    return _good(names, seen.contents, former, rows, swap=swap)


def _good(names: Names, contents: Contents, former: str, rows: list[Row], *, swap: bool) -> Finding:
    """Return the finding for a restored database that holds all of the backup."""
    if swap:
        old = (
            f"the old one is kept as {former}. When you no longer need it: "
            f"DROP DATABASE {quoted(former)};"
            if former
            else "the old one is gone."
        )
        message = f"{names.live} is now the restored database, with {contents.words}; {old}"
        return Finding(status=Status.OK, message=message, rows=rows)
    end = f"{names.live} is unchanged. Swap it in with -p swap=true, or drop it."
    if contents.total:
        message = f"{names.scratch} holds the backup's {contents.words}; {end}"
        return Finding(status=Status.OK, message=message, rows=rows)
    if contents.tables and not contents.rows:
        tables = counted(len(contents.tables), "table")
        message = f"{names.scratch} has the {tables} of a schema-only backup; {end}"
        return Finding(status=Status.OK, message=message, rows=rows)
    message = f"The backup holds no rows, so nothing was compared; {end}"
    return Finding(status=Status.UNKNOWN, message=message, rows=rows)


def _named_now(database: Connection, oid: int) -> str:
    """Return the name that a database has now, empty if it is gone."""
    row = database.execute("SELECT datname FROM pg_database WHERE oid = %s", [oid]).fetchone()
    return str(row["datname"]) if row else ""
