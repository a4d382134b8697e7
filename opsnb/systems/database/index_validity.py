"""Invalid indexes: what failed builds left, and how to fix them."""

from __future__ import annotations

from collections.abc import Sequence

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Status
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.indexes import Index, being_built, duplicates_query, read_indexes
from opsnb.systems.database.sight import granted, login
from opsnb.view import commands

_MOST = 1000
_MOST_NAMED = 5


@check(needs=(SYSTEM,), treated_by="the message has the command")
def invalid_indexes(target: Target) -> Finding:
    """Invalid indexes.

    A concurrent build that failed left such an index: every write updates it, and no query uses it.
    """
    with connection(target) as database:
        found = read_indexes(database, "invalid", most=_MOST)
        found.sort(key=lambda index: (index.table_oid, index.name))
        built, unseen = being_built(database, {each.table_oid for each in found})
        unclear = [each for each in found if each.table_oid in unseen]
        if unclear:
            evidence.partial(
                f"login {login(database)} may not see which index another role is building, so it "
                f"is unknown whether {unclear[0].label} is a leftover or in progress; "
                f"{granted(database)}"
            )
        partitioned = queries.rows(database, "invalid_partitioned_indexes", most=_MOST)
        invalid = [each for each in found if each.table_oid not in built | unseen]
        fix = _how_to_fix(target, database, invalid)
    if not invalid and not partitioned:
        message = "All indexes are valid."
        if built or unseen:
            message = "No index is invalid, except the ones being built."
        return Finding(status=Status.OK, message=message, value=0, unit="indexes")
    count = len(invalid) + len(partitioned)
    named = [f"{each.written} on {each.on_table}" for each in invalid]
    named += [f"{row['index']} on {row['table']}" for row in partitioned]
    more = f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else ""
    return Finding(
        status=Status.WARN,
        message=f"{count} invalid: {', '.join(named[:_MOST_NAMED])}{more}; {fix}",
        value=count,
        unit="indexes",
        rows=[{"index": each.written, "table": each.on_table} for each in invalid] + partitioned,
    )


def _how_to_fix(target: Target, database: Connection, invalid: list[Index]) -> str:
    """Say how to make the first of the invalid indexes valid, or how to drop it."""
    if not invalid:
        return (
            "an index of a partitioned table becomes valid when every partition has one attached: "
            "ALTER INDEX ... ATTACH PARTITION ...;"
        )
    first = invalid[0]
    fix = "to fix: " + commands.run(
        "database/reindex", target, apply=True, kind="table", name=first.on_table
    )
    unique = next((each for each in invalid if each.is_unique and not each.leftover), None)
    if unique:
        fix = (
            f"{unique.written} is unique, so remove duplicate rows first, if there are any: "
            f"{duplicates_query(database, unique)}; then {fix}"
        )
    locked = [each for each in invalid if not each.reachable]
    if locked:
        fix += f"; as superuser: {drop_commands(locked)}"
    return fix


def drop_commands(indexes: Sequence[Index]) -> str:
    """Return the commands that drop `indexes`."""
    return " ".join(f"DROP INDEX {each.label};" for each in indexes)
