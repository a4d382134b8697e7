"""The target's own checks of its data, and what fixes it: `[[targets.NAME.integrity]]`.

Both statements are the target's, so neither is trusted: one statement each, sent by the protocol
that takes no more than one, inside a transaction that they cannot leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, TimedOut, UsageError, did_you_mean
from opsnb.model import Row
from opsnb.redaction import outside
from opsnb.systems.database.access import (
    SYSTEM,
    Connection,
    bound,
    connection,
    reason,
    rehearsal,
    single,
    writing,
)
from opsnb.systems.database.settings import Database, Integrity

_CHECK_S = 30.0
_REPAIR_S = 300.0
_LOCK_S = 3.0
_SAMPLE = 10
_LONGEST = 200

Cursor = psycopg.Cursor[dict[str, Any]]


@dataclass(frozen=True)
class Violations:
    """What a check has found."""

    count: int
    sample: list[Row]
    """The first of them."""


@dataclass(frozen=True)
class Rehearsal:
    """What a repair did in a transaction that was rolled back."""

    changed: int
    left: Violations
    """What the check still found after it."""
    after: list[Row] = field(default_factory=list)
    """The first of the rows that it changed, as they would be; nothing where it does not tell."""


def check_of(target: Target, name: str) -> Integrity:
    """Return the check of that name. Raises UsageError."""
    for check in Database.of(target).integrity:
        if check.name == name:
            return check
    if not Database.of(target).integrity:
        raise UsageError(
            f"Target {target.name} has no integrity checks; describe them as "
            f"[[targets.{target.name}.integrity]] in opsnb.toml."
        )
    raise UsageError(
        f"Target {target.name} has no integrity check '{name}'."
        + did_you_mean(name, [check.name for check in Database.of(target).integrity])
    )


def violations(target: Target, check: Integrity) -> Violations:
    """Return what `check` finds, in a read-only transaction.

    Raises BadAnswer when PostgreSQL refuses it, TimedOut when it takes too long.
    """
    with connection(target, limit_s=_CHECK_S) as database, _refusals(target, check, "sql"):
        return _found(database, check)


def rehearse(target: Target, check: Integrity) -> Rehearsal:
    """Return what the repair of `check` would do: it is done, looked at, and rolled back.

    Raises BadAnswer when it is refused, TimedOut when rows stay locked.
    """
    with rehearsal(target, limit_s=_CHECK_S, lock_wait_s=_LOCK_S) as database:
        with _refusals(target, check, "repair"):
            done = _telling(database, check.repair)
            after = _sample(done) if done.description else []
            _demand_transaction(database)
        with _refusals(target, check, "sql"):
            return Rehearsal(max(0, done.rowcount), _found_after(database, check), after)


def repair(target: Target, permit: Permit, check: Integrity) -> int:
    """Fix what `check` finds, and return how many rows were changed.

    Committed only when the check comes back clean in the same transaction; else nothing is changed
    and BadAnswer raised. Raises Refused without a valid permit.
    """
    with writing(target, permit) as database, database.transaction():
        bound(database, limit_s=_REPAIR_S, lock_wait_s=_LOCK_S)
        with _refusals(target, check, "repair"):
            changed = single(database, check.repair).rowcount
            _demand_transaction(database)
        with _refusals(target, check, "sql"):
            left = _found_after(database, check)
        if left.count:
            raise BadAnswer(
                SYSTEM,
                f"The repair of '{check.name}' leaves {left.count} rows that violate it, so it was "
                f"rolled back; correct repair in [[targets.{target.name}.integrity]].",
            )
        return max(0, changed)


def _found(database: Connection, check: Integrity) -> Violations:
    """Return what `check` finds. Only a query that changes nothing can have a cursor."""
    # Rows that a policy hides from this login are not "no rows": PostgreSQL refuses then.
    database.execute("SELECT set_config('row_security', 'off', true)")
    single(database, f"DECLARE opsnb_violations NO SCROLL CURSOR FOR {check.sql}")
    sample = _sample(database.execute(f"FETCH {_SAMPLE} FROM opsnb_violations".encode()))
    more = database.execute("MOVE FORWARD ALL FROM opsnb_violations").rowcount
    return Violations(len(sample) + max(0, more), sample)


def _found_after(database: Connection, check: Integrity) -> Violations:
    """Return what `check` still finds in a transaction that has changed something."""
    # What is to be checked at the commit is checked now, and from here on nothing is changed.
    database.execute("SET CONSTRAINTS ALL IMMEDIATE")
    database.execute("SET TRANSACTION READ ONLY")
    return _found(database, check)


def _telling(database: Connection, statement: str) -> Cursor:
    """Run a repair so that it returns the rows that it changes, where its kind can."""
    database.execute("SAVEPOINT opsnb_repair")
    if "returning" not in statement.lower():
        try:
            return single(database, statement.rstrip("; \n") + "\nRETURNING *")
        except (psycopg.ProgrammingError, psycopg.NotSupportedError):
            # It takes no RETURNING, or this login may not read every column.
            database.execute("ROLLBACK TO SAVEPOINT opsnb_repair")
    return single(database, statement)


def _demand_transaction(database: Connection) -> None:
    """Raise BadAnswer when the repair has ended the transaction that it was to run in."""
    if database.info.transaction_status is not TransactionStatus.INTRANS:
        raise BadAnswer(SYSTEM, "The repair ends its transaction; it has to change rows alone.")


@contextmanager
def _refusals(target: Target, check: Integrity, key: str) -> Iterator[None]:
    """Say in one sentence why PostgreSQL refuses a statement of the target's own."""
    what = f"Integrity check '{check.name}'" if key == "sql" else f"The repair of '{check.name}'"
    must = "a SELECT that only reads" if key == "sql" else "an UPDATE, DELETE or INSERT"
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise TimedOut(SYSTEM, f"{what} did not end in time; make `{key}` quicker.") from error
    except (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege):
        raise
    except psycopg.Error as error:
        on_replica = key == "repair" and isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
        if on_replica or not error.sqlstate:
            raise
        raise BadAnswer(
            SYSTEM,
            f"{what} was refused and changed nothing ({reason(error)}): `{key}` in "
            f"[[targets.{target.name}.integrity]] has to be one statement, {must}.",
        ) from error


def _sample(cursor: Cursor) -> list[Row]:
    """Return the first rows of a result, fit to be kept."""
    return [
        {name: _plain(value) for name, value in row.items()} for row in cursor.fetchmany(_SAMPLE)
    ]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return outside.shortened(text, _LONGEST)
