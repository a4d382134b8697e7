"""Ending sessions that hold locks or connections and do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from opsnb.actions.action import Permit, Plan, action
from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, UsageError
from opsnb.machine.waiting import attempts
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection, writing
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.driver import APPLICATION
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.server import identity
from opsnb.systems.database.sight import login, statement
from opsnb.view.formats import counted

_END_S = 5.0
_POLL_S = 0.1
_MOST = 1000
_SAMPLE = 20
_SHOWN = 120  # characters of a statement


@action(needs=(SYSTEM,))
def end_sessions(
    target: Target,
    former: ActionRecord | None,
    pid: int = 0,
    application: str = "",
    idle_s: float = 60,
) -> Plan:
    """End sessions.

    The one with this pid, whatever it does; or all sessions of `application` in this database that
    have been idle, in a transaction or not, for more than `idle_s` seconds. Without either, there
    is nothing to do. Raises UsageError if there is no such session.
    """
    with connection(target) as database:
        found = _chosen(database, pid, application, idle_s)
        if not former:
            _demand_sight(database, pid, application, found)
        basis = identity(database)
    if former:
        found = [row for row in found if _key(row) in former.terms["sessions"]]
    elif pid and not found:
        raise UsageError(f"There is no client's session with pid {pid}: it has already ended.")
    terms = former.terms if former else {"sessions": [_key(row) for row in found]}

    def work(permit: Permit) -> Iterator[int]:
        with writing(target, permit) as server:
            for done, row in enumerate(found, 1):
                planned = {"pid": row["pid"], "backend_start": row["backend_start"]}
                queries.rows(server, "end_session", **planned)
                yield done

    def verify() -> list[Finding]:
        return [_effect(target, terms["sessions"])] if terms["sessions"] else []

    open_transactions = sum(row["transaction_s"] is not None for row in found)
    return Plan(
        summary=_summary(found, pid, application, idle_s),
        planned=len(found),
        unit="sessions",
        command="SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ...;",
        undo="",
        work=work,
        verify=verify,
        sample=[_shown(row) for row in found[:_SAMPLE]],
        basis=basis,
        warning=f"This rolls back {counted(open_transactions, 'open transaction')}: their changes "
        "are lost."
        if open_transactions
        else "",
        terms=terms,
    )


def _chosen(
    database: Connection, pid: int, application: str, idle_s: float
) -> list[dict[str, Any]]:
    if not (pid or application):
        return []
    return queries.rows(
        database,
        "sessions_to_end",
        pid=pid,
        application=application,
        idle_s=idle_s,
        ours=APPLICATION,
        most=_MOST,
    )


def _demand_sight(
    database: Connection, pid: int, application: str, found: list[dict[str, Any]]
) -> None:
    """Raise BadAnswer if this login may not see any session to end; note it if it misses some."""
    row = queries.row(database, "hidden_sessions_to_end", pid=pid, application=application)
    hidden = row["n"]
    if not hidden or not (pid or application):
        return
    who = login(database)
    lacks = (
        f"login {who} may not see {counted(hidden, 'session')} of {application or pid} that belong "
        f"to another role; as superuser: GRANT pg_monitor, pg_signal_backend TO {who};"
    )
    if not found:
        raise BadAnswer(SYSTEM, f"Nothing can be ended: {lacks}")
    evidence.partial(lacks.rstrip(";"))


def _summary(found: list[dict[str, Any]], pid: int, application: str, idle_s: float) -> str:
    if not (pid or application):
        return "No session is named, so none is ended."
    if not found:
        return f"{application or pid} has no session to end."
    if pid:
        row = found[0]
        return f"End the session {pid} of {row['application'] or row['user']}, {row['state']}."
    return f"End {counted(len(found), 'session')} of {application}, idle for over {idle_s:g} s."


def _key(row: dict[str, Any]) -> list[Any]:
    """Return what distinguishes this session from any other: pids are reused."""
    return [row["pid"], row["backend_start"].astimezone(UTC).isoformat()]


def _shown(row: dict[str, Any]) -> Row:
    shown = {key: value for key, value in row.items() if key != "backend_start"}
    return {**shown, "query": statement(row["query"], _SHOWN)}


def _effect(target: Target, planned: list[list[Any]]) -> Finding:
    """Wait a moment for the sessions to end."""
    for _ in attempts(_END_S, _POLL_S):
        if not (left := _left(target, planned)):
            return Finding(status=Status.OK, message=f"{counted(len(planned), 'session')} ended.")
    pids = ", ".join(str(pid) for pid in left[:10])
    return Finding(status=Status.CRIT, message=f"Still connected: pid {pids}.")


def _left(target: Target, planned: list[list[Any]]) -> list[int]:
    with connection(target) as database:
        rows = database.execute(
            "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = ANY(%s)",
            [[pid for pid, _ in planned]],
        ).fetchall()
    return [row["pid"] for row in rows if _key(row) in planned]
