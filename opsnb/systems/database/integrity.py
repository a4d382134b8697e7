"""The target's own checks of its data, and their repairs: `[[targets.NAME.integrity]]`.

Both statements come from the target, so neither is trusted: each is sent by the protocol that takes
one statement only, inside a transaction that it cannot leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, TimedOut, UsageError, did_you_mean
from opsnb.model import Row
from opsnb.redaction import outside
from opsnb.systems.database.connecting import bound, connection, rehearsal
from opsnb.systems.database.cursor import Connection, single
from opsnb.systems.database.failures import SYSTEM, reason
from opsnb.systems.database.settings import Database, Integrity

_CHECK_S = 30.0
_REPAIR_S = 300.0
_LOCK_S = 3.0
_SAMPLE = 10
_LONGEST = 200

Cursor = psycopg.Cursor[dict[str, Any]]


@dataclass(frozen=True)
class Violations:
    """The rows that violate a check."""

    count: int
    sample: list[Row]
    """The first rows."""


@dataclass(frozen=True)
class Rehearsal:
    """The effect of a repair in a transaction that was rolled back."""

    changed: int
    left: Violations
    """The rows that violate the check after it."""
    after: list[Row] = field(default_factory=list)
    """The first rows that it changed, as they would be; empty if they cannot be known."""


def check_of(target: Target, name: str) -> Integrity:
    """Return the check of that name. Raises UsageError."""
    checks = Database.of(target).integrity
    for check in checks:
        if check.name == name:
            return check
    if not checks:
        raise UsageError(
            f"Target {target.name} has no integrity checks; describe them as "
            f"[[targets.{target.name}.integrity]] in opsnb.toml."
        )
    raise UsageError(
        f"Target {target.name} has no integrity check '{name}'."
        + did_you_mean(name, [check.name for check in checks])
    )


def checking(target: Target) -> AbstractContextManager[Connection]:
    """Return a connection for `violations`."""
    return connection(target, limit_s=_CHECK_S)


def rehearsing(target: Target) -> AbstractContextManager[Connection]:
    """Return a connection for `rehearse`: everything done on it is rolled back."""
    return rehearsal(target, limit_s=_CHECK_S, lock_wait_s=_LOCK_S)


def violations(database: Connection, check: Integrity) -> Violations:
    """Return the rows that violate `check`.

    Raises BadAnswer if PostgreSQL refuses its statement, TimedOut if it takes too long.
    """
    with database.transaction(force_rollback=True), _refusals(check, "sql"):
        return _found(database, check)


def rehearse(database: Connection, check: Integrity) -> Rehearsal:
    """Run the repair of `check`, read its effect, and roll it back.

    Raises BadAnswer if it is refused, TimedOut if rows stay locked.
    """
    with database.transaction(force_rollback=True):
        with _refusals(check, "repair"):
            done = _returning(database, check.repair)
            after = _sample(done) if done.description else []
            _demand_transaction(database)
        with _refusals(check, "sql"):
            return Rehearsal(max(0, done.rowcount), _found_after(database, check), after)


def repair(database: Connection, check: Integrity) -> int:
    """Fix the rows that violate `check`, and return how many were changed.

    `database` is a connection for writing. The change is committed only if the check finds nothing
    in the same transaction; else nothing is changed and BadAnswer raised.
    """
    with database.transaction():
        bound(database, limit_s=_REPAIR_S, lock_wait_s=_LOCK_S)
        with _refusals(check, "repair"):
            changed = single(database, check.repair).rowcount
            _demand_transaction(database)
        with _refusals(check, "sql"):
            left = _found_after(database, check)
        if left.count:
            raise BadAnswer(
                SYSTEM,
                f"After the repair of '{check.name}', {left.count} rows still violate it, so it "
                "was rolled back; correct its `repair` in opsnb.toml.",
            )
        return max(0, changed)


def _found(database: Connection, check: Integrity) -> Violations:
    """Return what `check` finds; PostgreSQL refuses a cursor for anything but a query."""
    # With it, PostgreSQL refuses the query instead of leaving out rows that a policy hides.
    database.execute("SELECT set_config('row_security', 'off', true)")
    single(database, f"DECLARE opsnb_violations NO SCROLL CURSOR FOR {check.sql}")
    sample = _sample(database.execute(f"FETCH {_SAMPLE} FROM opsnb_violations".encode()))
    more = database.execute("MOVE FORWARD ALL FROM opsnb_violations").rowcount
    return Violations(len(sample) + max(0, more), sample)


def _found_after(database: Connection, check: Integrity) -> Violations:
    """Return what `check` still finds after a change in the same transaction."""
    # Deferred constraints are checked now, and nothing more can be changed from here on.
    database.execute("SET CONSTRAINTS ALL IMMEDIATE")
    database.execute("SET TRANSACTION READ ONLY")
    return _found(database, check)


def _returning(database: Connection, statement: str) -> Cursor:
    """Run a repair so that it returns the rows that it changes, if it can."""
    database.execute("SAVEPOINT opsnb_repair")
    if "returning" not in statement.lower():
        try:
            return single(database, statement.rstrip("; \n") + "\nRETURNING *")
        except (psycopg.ProgrammingError, psycopg.NotSupportedError):
            # RETURNING is not possible, or this login may not read every column.
            database.execute("ROLLBACK TO SAVEPOINT opsnb_repair")
    return single(database, statement)


def _demand_transaction(database: Connection) -> None:
    """Raise BadAnswer if the repair has ended its transaction."""
    if database.info.transaction_status is not TransactionStatus.INTRANS:
        raise BadAnswer(SYSTEM, "The repair ends its transaction; it may only change rows.")


@contextmanager
def _refusals(check: Integrity, key: str) -> Iterator[None]:
    """Raise a ServiceError if PostgreSQL refuses a statement of the target's own."""
    what = f"Integrity check '{check.name}'" if key == "sql" else f"The repair of '{check.name}'"
    must = "a SELECT that only reads" if key == "sql" else "an UPDATE, DELETE or INSERT"
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise TimedOut(SYSTEM, f"{what} did not end in time; make `{key}` quicker.") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise BadAnswer(
            SYSTEM, f"{what} was refused: {reason(error)}; use a login that may, in database_url."
        ) from error
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as error:
        on_replica = key == "repair" and isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
        if on_replica or not error.sqlstate:
            raise
        raise BadAnswer(
            SYSTEM,
            f"{what} was refused and changed nothing ({reason(error)}): its `{key}` in opsnb.toml "
            f"has to be one statement, {must}.",
        ) from error


def _sample(cursor: Cursor) -> list[Row]:
    """Return the first rows of a result, with values that a record can hold."""
    return [
        {name: _plain(value) for name, value in row.items()} for row in cursor.fetchmany(_SAMPLE)
    ]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return outside.shortened(text, _LONGEST)
