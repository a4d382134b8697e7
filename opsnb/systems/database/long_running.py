"""Queries that run too long: finding them, and ending them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from opsnb.actions.action import Permit, Plan, action
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.machine.waiting import attempts
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection, writing
from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.driver import APPLICATION
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.server import identity
from opsnb.systems.database.sight import note_hidden_sessions, statement
from opsnb.view.formats import counted

_CANCEL_S = 5.0
_POLL_S = 0.2
_MOST_ROWS = 100
_SHOWN = 200  # characters of a statement


@check(
    needs=(SYSTEM,),
    treated_by=treated_by("database/connections", "shows them; with --apply ends them"),
)
def long_queries(target: Target, minutes: float | None = None) -> Finding:
    """Long-running queries"""
    minutes = target.limit("database_query_minutes", minutes)
    with connection(target) as database:
        rows = [_shown(row) for row in _long(database, minutes)]
        note_hidden_sessions(database)
    if not rows:
        message = f"No query of this database runs longer than {minutes:g} minutes."
        return Finding(status=Status.OK, message=message, value=0, unit="queries")
    message = f"{counted(len(rows), 'query', 'queries')} over {minutes:g} minutes."
    return Finding(status=Status.WARN, message=message, value=len(rows), unit="queries", rows=rows)


@action(needs=(SYSTEM,))
def end_long_queries(
    target: Target,
    former: ActionRecord | None,
    minutes: float | None = None,
    *,
    terminate: bool = False,
) -> Plan:
    """End queries that run too long.

    Cancels the queries of the target's database that have run longer than `minutes`, by default
    the target's limit, when the plan is made. With `terminate`, it also ends the session of a query
    that does not stop within five seconds. It touches no other query.
    """
    minutes = target.limit("database_query_minutes", minutes)
    with connection(target) as database:
        found = _long(database, minutes)
        note_hidden_sessions(database)
        if former:
            found = [row for row in found if _key(row) in former.terms["queries"]]
        basis = identity(database)
    terms = former.terms if former else {"queries": [_key(row) for row in found]}

    def work(permit: Permit) -> Iterator[int]:
        done = 0
        with writing(target, permit) as server:
            for query in found:
                if _end(server, query, terminate=terminate):
                    done += 1
                yield done

    def verify() -> list[Finding]:
        if not terms["queries"]:
            return []
        return [_effect(target, found, len(terms["queries"]), terminate=terminate)]

    backups = sum(row["application"] in ("pg_dump", "pg_restore") for row in found)
    return Plan(
        summary=f"End {counted(len(found), 'query', 'queries')} over {minutes:g} minutes."
        if found
        else f"No query has run longer than {minutes:g} minutes.",
        planned=len(found),
        unit="queries",
        command="SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' "
        f"AND now() - query_start > interval '{minutes:g} minutes';",
        undo="",
        work=work,
        verify=verify,
        sample=[_shown(row) for row in found],
        basis=basis,
        warning=f"{backups} of them belong to a backup or a restore." if backups else "",
        terms=terms,
    )


def _long(database: Connection, minutes: float) -> list[dict[str, Any]]:
    return queries.rows(
        database, "long_queries", minutes=minutes, ours=APPLICATION, most=_MOST_ROWS
    )


def _key(row: dict[str, Any]) -> list[Any]:
    """Return what distinguishes this query of this session from any other."""
    begun = (row["backend_start"], row["query_start"])
    return [row["pid"], *(moment.astimezone(UTC).isoformat() for moment in begun)]


def _shown(row: dict[str, Any]) -> Row:
    keys = ("pid", "user", "application", "seconds", "waits_for")
    return {**{key: row[key] for key in keys}, "query": statement(row["query"], _SHOWN)}


def _end(server: Connection, query: dict[str, Any], *, terminate: bool) -> bool:
    """End one query; return whether it has ended."""
    queries.rows(server, "cancel_query", **_planned(query))
    if _has_ended(server, query) or not terminate:
        return not _runs(server, query)
    queries.rows(server, "terminate_query", **_planned(query))
    return _has_ended(server, query)


def _planned(query: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies a query that was planned."""
    return {key: query[key] for key in ("pid", "backend_start", "query_start")}


def _has_ended(server: Connection, query: dict[str, Any]) -> bool:
    """Wait a moment for a query to end; return whether it has."""
    return any(not _runs(server, query) for _ in attempts(_CANCEL_S, _POLL_S))


def _runs(server: Connection, query: dict[str, Any]) -> bool:
    return bool(queries.row(server, "query_runs", **_planned(query))["yes"])


def _effect(
    target: Target, found: list[dict[str, Any]], planned: int, *, terminate: bool
) -> Finding:
    with connection(target) as database:
        left = [row for row in found if _runs(database, row)]
    if not left:
        message = f"None of {counted(planned, 'planned query', 'planned queries')} runs any more."
        return Finding(status=Status.OK, message=message)
    pids = ", ".join(str(row["pid"]) for row in left)
    advice = (
        "call the database's administrator" if terminate else "run again with -p terminate=true"
    )
    return Finding(
        status=Status.CRIT,
        message=f"{len(left)} of {planned} ignored the cancel (pid {pids}); {advice}.",
        rows=[_shown(row) for row in left],
    )
