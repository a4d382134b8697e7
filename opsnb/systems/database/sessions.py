"""Who is connected, and who waits for whom."""

from __future__ import annotations

from typing import Any

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.sight import granted, login, statement
from opsnb.view.formats import counted

_MOST_ROWS = 100
_NAMELESS = "(none)"
_SHOWN = 120  # characters of a statement


def _treats_connections(_: Target, finding: Finding) -> list[Remedy]:
    """Return what frees connections: ending the idle ones of the application with most of them."""
    most = max(finding.rows, key=lambda row: int(row["idle"]) + int(row["idle_in_transaction"]))
    if not most["idle"] + most["idle_in_transaction"] or most["application"] == _NAMELESS:
        return [Remedy.of("database/connections", "shows who holds them")]
    application = most["application"]
    why = f"shows the idle sessions of {application}; with --apply ends them"
    return [Remedy.of("troubleshooting/slow_queries", why, end_idle_of=application)]


@check(needs=(SYSTEM,), treated_by=_treats_connections)
def connections(target: Target) -> Finding:
    """Connections against max_connections"""
    with connection(target) as database:
        rows = queries.rows(database, "connections")
        most = max(1, queries.row(database, "connection_limit")["most"])
        if any(row["in_a_hidden_state"] for row in rows):
            # They are counted, so the status is right.
            evidence.without(
                f"whether the sessions of other roles are idle, which login {login(database)} may "
                f"not see; {granted(database)}"
            )
    used = sum(row["connections"] for row in rows)
    states = ", ".join(
        f"{count} {state.replace('_', ' ')}"
        for state in ("active", "idle", "idle_in_transaction", "in_a_hidden_state")
        if (count := sum(row[state] for row in rows))
    )
    message = f"PostgreSQL: {used} of {most} connections in use: {states}."
    return Finding.measured(
        100 * used / most,
        target.threshold("database_connections_percent"),
        message,
        rows=rows[:_MOST_ROWS],
    )


def _treats_blocking(_: Target, finding: Finding) -> list[Remedy]:
    why = "shows the session that blocks; with --apply ends it"
    session = int(finding.rows[0]["session"])
    return [Remedy.of("troubleshooting/slow_queries", why, end_pid=session)]


@check(needs=(SYSTEM,), treated_by=_treats_blocking)
def blocking(target: Target, seconds: float = 1.0) -> Finding:
    """Sessions that wait for a lock.

    As trees: the session that blocks is above the ones that wait for it. Waits shorter than
    `seconds` are normal and not counted.
    """
    with connection(target) as database:
        rows = queries.rows(database, "blocking", seconds=seconds)
        hidden = _waiting_unseen(database, seconds)
    waiting = [row for row in rows if row["blockers"]]
    if hidden and not waiting:
        message = (
            f"{counted(hidden, 'session')} of other roles waiting for a lock; this login cannot "
            "see who blocks and for how long."
        )
        return Finding(status=Status.UNKNOWN, message=message, value=hidden, unit="sessions")
    if not waiting:
        message = "No session waits for a lock."
        return Finding(status=Status.OK, message=message, value=0, unit="sessions")
    tree = _tree(rows)
    root = tree[0]
    return Finding(
        status=Status.WARN,
        message=f"{counted(len(waiting), 'session')} waiting for a lock; pid {root['session']} "
        f"({root['application'] or root['user']}, {root['state'] or 'state hidden'}) blocks.",
        value=len(waiting),
        unit="sessions",
        rows=tree,
    )


def _waiting_unseen(database: Connection, seconds: float) -> int:
    """Report how many sessions that this login may not see wait for a lock; return the number."""
    row = queries.row(database, "hidden_waits", seconds=seconds)
    unseen: int = row["n"]
    if unseen:
        evidence.partial(
            f"login {login(database)} may not see the sessions of other roles "
            f"({counted(unseen, 'session')} waiting); {granted(database)}"
        )
    return unseen


def _tree(rows: list[dict[str, Any]]) -> list[Row]:
    """Return the sessions as trees: below each, indented, the ones that wait for it."""
    by_pid = {row["pid"]: row for row in rows}
    waits_for = {pid: [b for b in row["blockers"] if b in by_pid] for pid, row in by_pid.items()}
    roots = [pid for pid, blockers in waits_for.items() if not blockers]
    lines: list[Row] = []
    shown: set[int] = set()

    def show(pid: int, depth: int) -> None:
        if pid in shown:  # it waits for two, or in a deadlock that is about to be resolved
            return
        shown.add(pid)
        row = by_pid[pid]
        line = {key: row[key] for key in ("user", "application", "state", "for_s")}
        line["query"] = statement(row["query"], _SHOWN)
        lines.append({"session": "\u2003" * depth + str(pid), **line})
        for other, blockers in waits_for.items():
            if pid in blockers:
                show(other, depth + 1)

    for pid in [*roots, *by_pid]:
        show(pid, 0)
    return lines
