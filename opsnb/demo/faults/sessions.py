"""Faults of PostgreSQL: a lock that is never released, idle connections, a missing index."""

from __future__ import annotations

import sys

import psycopg

from opsnb.demo import holding, processes, service
from opsnb.demo.faults.fault import Fault, see
from opsnb.demo.home import DATABASE
from opsnb.demo.parts import Parts

LOCKED = "scenes"
FLOOD_SHARE = 0.8
"""Of max_connections: few are left, but those who look still get one."""
SPARE = 3

EVENTS = 2_400_000
LEAST_CALLS = 2
_EVENTS_SQL = (
    "CREATE TABLE IF NOT EXISTS events AS SELECT n AS id, n % 3000 + 1 AS scene_id,"
    " 'viewed' AS kind, now() - n * interval '1 second' AS created_at"
    f" FROM generate_series(1, {EVENTS}) AS n"
)


def _one(stack: Parts, question: str) -> int:
    with psycopg.connect(
        stack.settings.postgres_url(DATABASE), connect_timeout=2, autocommit=True
    ) as connection:
        row = connection.execute(question.encode()).fetchone()
    return int(row[0]) if row else 0


def _sessions(stack: Parts, application: str) -> int:
    return _one(
        stack, f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'"
    )


def _start(stack: Parts, *arguments: str) -> None:
    module = ["-m", holding.__name__, str(stack.home.root)]
    processes.start_detached(
        [sys.executable, *module, *arguments],
        log=stack.home.logs / "holding.log",
        cwd=stack.home.root,
    )


def _end(stack: Parts, application: str) -> None:
    def ended() -> bool:
        try:
            stack.postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE application_name = '{application}'"
            )
            return not _sessions(stack, application)
        except psycopg.OperationalError:
            return False  # there is no connection left for us yet

    see(ended, "its sessions do not end")


def _lock(stack: Parts) -> None:
    if not _sessions(stack, holding.LOCKER):
        _start(stack, "lock", LOCKED)
    see(
        lambda: _one(stack, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0,
        "nobody waits for the table",
    )


def _flood(stack: Parts) -> None:
    most = "SELECT setting::int FROM pg_settings WHERE name = 'max_connections'"
    used = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    wanted = int(FLOOD_SHARE * _one(stack, most))
    missing = wanted - _one(stack, used)
    if missing > 0:
        # Of those that were counted some end in a moment.
        _start(stack, "idle", str(missing + SPARE))
    see(lambda: _one(stack, used) >= wanted, "the connections are not there")


def _scan(stack: Parts) -> None:
    stack.postgres.execute(_EVENTS_SQL)
    # One process at a time, as on a server whose processes are all busy.
    stack.postgres.execute("ALTER TABLE events SET (parallel_workers = 0)")
    stack.postgres.execute("ANALYZE events")
    calls = (
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '%events%kind%'"
    )
    before = _one(stack, calls)
    see(lambda: _one(stack, calls) >= before + LEAST_CALLS, "nobody searches the events")


def _forget(stack: Parts) -> None:
    stack.postgres.execute("DROP TABLE IF EXISTS events")
    # Averages would show the scans until the demo ends.
    stack.postgres.execute("SELECT pg_stat_statements_reset(), pg_stat_reset()")


FAULTS = (
    Fault(
        name="blocked-table",
        description=f"A report left a transaction open, which locks the table {LOCKED}.",
        symptom="Some requests never finish; others are as fast as usual.",
        runbook="troubleshooting/slow_queries",
        cause="slowness.blocked",
        needs=frozenset({"postgres", service.API, service.WORKER}),
        break_it=_lock,
        fix_it=lambda stack: _end(stack, holding.LOCKER),
    ),
    Fault(
        name="connection-flood",
        description="A collector opens almost all connections of PostgreSQL and leaves them idle.",
        symptom="The database refuses some logins.",
        runbook="troubleshooting/slow_queries",
        cause="slowness.flooded",
        needs=frozenset({"postgres"}),
        break_it=_flood,
        fix_it=lambda stack: _end(stack, holding.FLOODER),
    ),
    Fault(
        name="slow-statement",
        description=f"The service searches a table of {EVENTS:,} events without an index.",
        symptom="Pages with statistics take a second, and the database uses much CPU.",
        runbook="troubleshooting/slow_queries",
        cause="slowness.missing_index",
        needs=frozenset({"postgres", service.API}),
        break_it=_scan,
        fix_it=_forget,
    ),
)
