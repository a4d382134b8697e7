"""Who is connected, who waits for whom, and ending what runs too long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from typing import Any, LiteralString

from opsnb.actions.action import Permit, Plan, action
from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Remedy, Row, Status
from opsnb.systems.database.access import (
    APPLICATION,
    SYSTEM,
    Connection,
    connection,
    identity,
    writing,
)
from opsnb.systems.database.sight import (
    CLIENTS,
    HERE,
    HIDDEN,
    QUERY,
    granted,
    login,
    note_hidden_sessions,
    statement,
)
from opsnb.view.formats import counted

LONG_MINUTES = 5.0
"""The handbook's limit for a query."""

_CANCEL_S = 5.0
_POLL_S = 0.2
_MOST_ROWS = 100
_NAMELESS: LiteralString = "(none)"
_SHOWN = 200  # characters of a statement
_TREE_SHOWN = 120


_ENDABLE: LiteralString = (
    "state = 'active' AND backend_type = 'client backend' AND datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name <> %(ours)s"
)
"""What may be ended at all. Autovacuum, replication and parallel workers are no client backends."""

_SAME: LiteralString = (
    "pid = %(pid)s AND backend_start = %(backend_start)s AND query_start = %(query_start)s"
    f" AND {_ENDABLE}"
)
"""The very query that was planned: pids are used again, and a session goes on to its next query."""


def _treats_connections(_: Target, finding: Finding) -> list[Remedy]:
    """Return what frees connections: the idle ones of the application that has most of them."""
    most = max(finding.rows, key=lambda row: int(row["idle"]) + int(row["idle_in_transaction"]))
    if not most["idle"] + most["idle_in_transaction"] or most["application"] == _NAMELESS:
        return [Remedy(runbook="database/connections", why="shows who holds them")]
    return [
        Remedy(
            runbook="troubleshooting/slow_queries",
            parameters={"end_idle_of": most["application"]},
            why=f"shows the idle sessions of {most['application']}; with --apply they are ended",
        )
    ]


@check(needs=(SYSTEM,), treated_by=_treats_connections)
def connections(target: Target) -> Finding:
    """Connections against max_connections"""
    with connection(target) as database:
        rows = database.execute(
            f"SELECT coalesce(nullif(application_name, ''), '{_NAMELESS}') AS application,"
            " count(*)::int AS connections,"
            " (count(*) FILTER (WHERE state = 'active'))::int AS active,"
            " (count(*) FILTER (WHERE state = 'idle'))::int AS idle,"
            " (count(*) FILTER (WHERE state LIKE 'idle in%'))::int AS idle_in_transaction,"
            f" (count(*) FILTER (WHERE {HIDDEN}))::int AS in_a_hidden_state,"
            " round(extract(epoch FROM max(now() - backend_start)))::int AS oldest_s,"
            " round(extract(epoch FROM max(now() - xact_start)))::int AS oldest_transaction_s"
            f" FROM pg_stat_activity WHERE {CLIENTS}"
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        room = database.execute(
            "SELECT current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
            # Since version 16.
            " - coalesce(current_setting('reserved_connections', true)::int, 0) AS most"
        ).fetchone()
        assert room is not None  # a SELECT without FROM returns one row
        if any(row["in_a_hidden_state"] for row in rows):
            # They are counted all the same, so the verdict stands.
            evidence.without(
                f"whether the sessions of other roles are idle, which login {login(database)} may "
                f"not see; {granted(database)}"
            )
    used, most = sum(row["connections"] for row in rows), max(1, room["most"])
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
    return [
        Remedy(
            runbook="troubleshooting/slow_queries",
            parameters={"end_pid": int(finding.rows[0]["session"])},
            why="shows the session that blocks; with --apply ends it",
        )
    ]


@check(needs=(SYSTEM,), treated_by=_treats_blocking)
def blocking(target: Target, seconds: float = 1.0) -> Finding:
    """Sessions that wait for a lock.

    As trees: who blocks stands above who waits. Waits shorter than `seconds` are everyday life.
    """
    with connection(target) as database:
        rows = database.execute(
            "WITH here AS MATERIALIZED (SELECT encoding FROM pg_database"
            " WHERE datname = current_database()),"
            " waiting AS MATERIALIZED (SELECT pid, pg_blocking_pids(pid) AS blockers"
            " FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND clock_timestamp() - query_start > %(seconds)s * interval '1 second'"
            " ORDER BY query_start LIMIT 200)"
            " SELECT a.pid, coalesce(w.blockers, '{}') AS blockers, a.usename AS user,"
            " a.application_name AS application, a.state,"
            " round(extract(epoch FROM clock_timestamp() - coalesce(a.query_start, a.xact_start,"
            " a.backend_start)))::int AS for_s,"
            # The text of another database may be in an encoding that breaks this one's functions.
            " CASE WHEN d.encoding = (SELECT encoding FROM here) THEN left(a.query, 8192)"
            " ELSE '' END AS query"
            " FROM pg_stat_activity a LEFT JOIN waiting w USING (pid)"
            " LEFT JOIN pg_database d ON d.oid = a.datid"
            " WHERE w.pid IS NOT NULL OR a.pid IN (SELECT unnest(blockers) FROM waiting)",
            {"seconds": seconds},
        ).fetchall()
        hidden = _waiting_unseen(database, seconds)
    waiting = [row for row in rows if row["blockers"]]
    if hidden and not waiting:
        message = (
            f"{counted(hidden, 'session')} of other roles waiting for a lock; who blocks and for "
            "how long cannot be seen."
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
    """Say how many wait for a lock that this login may not see; return their number.

    Everybody sees in pg_locks that somebody waits, since version 14 also since when.
    """
    since = "l.waitstart" if database.info.server_version >= 140000 else "NULL::timestamptz"
    row = database.execute(
        "SELECT count(DISTINCT pid)::int AS n FROM pg_locks l JOIN pg_stat_activity USING (pid)"
        f" WHERE NOT l.granted AND {HIDDEN} AND coalesce(clock_timestamp() - {since}"
        " > %(seconds)s * interval '1 second', true)",
        {"seconds": seconds},
    ).fetchone()
    unseen = int(row["n"]) if row else 0
    if unseen:
        evidence.partial(
            f"login {login(database)} may not see the sessions of other roles "
            f"({counted(unseen, 'session')} waiting); {granted(database)}"
        )
    return unseen


def _tree(rows: list[dict[str, Any]]) -> list[Row]:
    """Return the sessions with those that block above those that wait for them, indented."""
    by_pid = {row["pid"]: row for row in rows}
    waits_for = {pid: [b for b in row["blockers"] if b in by_pid] for pid, row in by_pid.items()}
    roots = [pid for pid, blockers in waits_for.items() if not blockers]
    lines: list[Row] = []
    shown: set[int] = set()

    def show(pid: int, depth: int) -> None:
        if pid in shown:  # one who waits for two, or a deadlock about to be resolved
            return
        shown.add(pid)
        row = by_pid[pid]
        line = {key: row[key] for key in ("user", "application", "state", "for_s")}
        line["query"] = statement(row["query"], _TREE_SHOWN)
        lines.append({"session": "\u2003" * depth + str(pid), **line})
        for other, blockers in waits_for.items():
            if pid in blockers:
                show(other, depth + 1)

    for pid in [*roots, *by_pid]:
        show(pid, 0)
    return lines


@check(
    needs=(SYSTEM,),
    treated_by=treated_by("database/connections", "shows them; with --apply ends them"),
)
def long_queries(target: Target, minutes: float = LONG_MINUTES) -> Finding:
    """Queries that run long"""
    with connection(target) as database:
        rows = [_shown(row) for row in _long(database, minutes)]
        note_hidden_sessions(database, HERE)
    if not rows:
        message = f"No query of this database runs longer than {minutes:g} minutes."
        return Finding(status=Status.OK, message=message, value=0, unit="queries")
    message = f"{counted(len(rows), 'query', 'queries')} over {minutes:g} minutes."
    return Finding(status=Status.WARN, message=message, value=len(rows), unit="queries", rows=rows)


@action(needs=(SYSTEM,))
def end_long_queries(
    target: Target,
    former: ActionRecord | None,
    minutes: float = LONG_MINUTES,
    *,
    terminate: bool = False,
) -> Plan:
    """End queries that run too long.

    Those of the target's database that have run longer than `minutes` as the plan is made are
    cancelled; with `terminate`, the session of one that does not heed this within five seconds is
    ended. A query that has ended meanwhile, and any other, is left alone.
    """
    with connection(target) as database:
        found = _long(database, minutes)
        note_hidden_sessions(database, HERE)
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
        summary=f"End {counted(len(found), 'query', 'queries')} that ran over {minutes:g} minutes."
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
    return database.execute(
        "SELECT pid, backend_start, query_start, usename AS user,"
        " application_name AS application, wait_event_type AS waits_for,"
        " round(extract(epoch FROM clock_timestamp() - query_start))::int AS seconds,"
        f" {QUERY} FROM pg_stat_activity"
        f" WHERE {_ENDABLE} AND clock_timestamp() - query_start > %(minutes)s * interval '1 minute'"
        " ORDER BY query_start LIMIT %(most)s",
        {"minutes": minutes, "ours": APPLICATION, "most": _MOST_ROWS},
    ).fetchall()


def _key(row: dict[str, Any]) -> list[Any]:
    """Return what tells this query of this session from any other."""
    begun = (row["backend_start"], row["query_start"])
    return [row["pid"], *(moment.astimezone(UTC).isoformat() for moment in begun)]


def _shown(row: dict[str, Any]) -> Row:
    keys = ("pid", "user", "application", "seconds", "waits_for")
    return {**{key: row[key] for key in keys}, "query": statement(row["query"], _SHOWN)}


def _end(server: Connection, query: dict[str, Any], *, terminate: bool) -> bool:
    """End one query; return whether it has ended."""
    known = {**query, "ours": APPLICATION}
    server.execute(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {_SAME}", known)
    if _has_ended(server, known) or not terminate:
        return not _runs(server, known)
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_SAME}", known)
    return _has_ended(server, known)


def _has_ended(server: Connection, known: dict[str, Any]) -> bool:
    """Wait for the end of a query that was told to end, but not for long."""
    ends = time.monotonic() + _CANCEL_S
    while _runs(server, known):
        if time.monotonic() > ends:
            return False
        time.sleep(_POLL_S)
    return True


def _runs(server: Connection, known: dict[str, Any]) -> bool:
    still = f"SELECT 1 AS runs FROM pg_stat_activity WHERE {_SAME}"
    return server.execute(still, known).fetchone() is not None


def _effect(
    target: Target, found: list[dict[str, Any]], planned: int, *, terminate: bool
) -> Finding:
    with connection(target) as database:
        left = [row for row in found if _runs(database, {**row, "ours": APPLICATION})]
    if not left:
        message = f"Of {counted(planned, 'planned query', 'planned queries')} none runs any more."
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
