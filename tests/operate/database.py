"""What the database's runbooks act upon, and what they must have done."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, RunResult, Status
from opsnb.systems import database
from opsnb.systems.database.settings import Database
from tests.operate import Scenario

LONG_QUERY = "drill-long-query"


def query(target: Target, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own, and return its rows."""
    with psycopg.connect(Database.of(target).url, autocommit=True) as connection:
        cursor = connection.execute(cast(Any, statement), values or None)
        return cursor.fetchall() if cursor.description else []


def act(
    target: Target, action: Action[Any], *args: Any, **kwargs: Any
) -> tuple[ActionRecord, list[Finding]]:
    """Apply an action through the guard."""
    return Guard(target, True, target.name, lambda _: None).act(action, *args, **kwargs)


@contextmanager
def own_database(target: Target, name: str = "") -> Iterator[Target]:
    """Yield the target with a database of its own on the same server; all that is like it goes."""
    name = name or f"own_{secrets.token_hex(4)}"
    identifier = sql.Identifier(name).as_string()
    query(target, f"CREATE DATABASE {identifier}")
    try:
        url = make_conninfo(Database.of(target).url, dbname=name)
        yield target.changed(database_url=url)
    finally:
        for like in databases_like(target, name):
            gone = sql.Identifier(like).as_string()
            query(target, f"DROP DATABASE IF EXISTS {gone} WITH (FORCE)")


def databases_like(target: Target, name: str) -> list[str]:
    """Return the databases whose names begin with `name`."""
    rows = query(target, "SELECT datname FROM pg_database ORDER BY 1")
    return [row[0] for row in rows if row[0].startswith(name)]


def start(target: Target, statement: str, application: str) -> threading.Thread:
    """Have a statement run in a session of its own, which lives as long as this process."""
    url = make_conninfo(Database.of(target).url, application_name=application)
    connection = psycopg.connect(url, autocommit=True)
    _sessions.append(connection)

    def run() -> None:
        with suppress(psycopg.Error):
            connection.execute(cast(Any, statement))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: is_running(target, application))
    return thread


_sessions: list[psycopg.Connection[Any]] = []


@contextmanager
def running(target: Target, statement: str, application: str = LONG_QUERY) -> Iterator[None]:
    """Have a statement run within, in a session of its own."""
    thread = start(target, statement, application)
    try:
        yield
    finally:
        query(
            target,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            application,
        )
        thread.join(5)


def is_running(target: Target, application: str = LONG_QUERY) -> bool:
    """Say whether a session of that name runs a query."""
    return bool(
        query(
            target,
            "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND state = 'active'",
            application,
        )
    )


def wait_for(seen: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait until something is there to be seen."""
    ends = time.monotonic() + limit_s
    while not seen():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.05)


def found(result: RunResult, name: str) -> Finding:
    """Return the last finding of that name."""
    return [finding for finding in result.findings if finding.name == name][-1]


def _seen_all(target: Target, result: RunResult) -> None:
    assert not result.actions
    sizes = found(result, "database.table_sizes")
    assert {"projects", "scenes", "analyses"} <= {row["table"] for row in sizes.rows}
    assert found(result, "database.slow_statements").status in (Status.OK, Status.WARN)
    assert all(finding.status is not Status.UNKNOWN for finding in result.findings)


def _analyzed(target: Target, result: RunResult) -> None:
    (action,) = result.actions
    assert (action.planned, action.applied, action.verified) == (1, 1, True)
    ((analyzed, vacuumed),) = query(
        target,
        "SELECT last_analyze, last_vacuum FROM pg_stat_user_tables WHERE relname = 'projects'",
    )
    assert action.started is not None
    assert min(analyzed, vacuumed) >= action.started


def make_leftover(target: Target, table: str = "drill") -> None:
    """Make a table with an index, and what a failed REINDEX CONCURRENTLY leaves beside it."""
    query(target, f"CREATE TABLE IF NOT EXISTS {table} AS SELECT generate_series(1, 100) AS n")
    for name in (f"{table}_n", f"{table}_n_ccnew"):
        query(target, f"CREATE INDEX IF NOT EXISTS {name} ON {table} (n)")
    query(
        target,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
        f"{table}_n_ccnew",
    )


def _make_drill_index(target: Target) -> None:
    make_leftover(target)


def _reindexed(target: Target, result: RunResult) -> None:
    (action,) = result.actions
    assert (action.planned, action.applied, action.verified) == (2, 2, True)
    rows = query(
        target,
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'drill'::regclass AND i.indisvalid",
    )
    assert rows == [("drill_n",)]
    query(target, "DROP TABLE drill")


def _start_long_query(target: Target) -> None:
    if is_running(target):
        return
    start(target, "SELECT pg_sleep(300)", LONG_QUERY)
    time.sleep(1.0)  # longer than the scenario's limit


def _ended(target: Target, result: RunResult) -> None:
    (action,) = result.actions
    assert (action.planned, action.applied, action.verified) == (1, 1, True)
    assert not is_running(target)


def _backed_up(target: Target, result: RunResult) -> None:
    (action,) = result.actions
    assert (action.planned, action.applied, action.verified) == (1, 1, True)
    facts = {row["fact"]: row["value"] for row in found(result, "database.backup.verify").rows}
    path = Path(facts["file"])
    assert path.stat().st_size == facts["bytes"]
    assert {item.name for item in path.parent.iterdir() if path.name in item.name} == {
        path.name,
        f"{path.name}.sha256",
    }
    path.unlink()
    path.with_name(f"{path.name}.sha256").unlink()


def make_backup(target: Target) -> None:
    """Have a backup of the target's database."""
    if not database.backups(target):
        act(target, database.backup)


def _restored(target: Target, result: RunResult) -> None:
    (action,) = result.actions
    assert (action.planned, action.applied, action.verified) == (1, 1, True)
    rows = found(result, "database.restore.verify").rows
    assert {row["table"] for row in rows} == {
        "public.analyses",
        "public.projects",
        "public.scenes",
    }
    ((name,),) = query(target, "SELECT current_database()")
    scratch = databases_like(target, f"{name}_restore_")
    (before,) = databases_like(target, f"{name}_before_")
    assert scratch == []
    query(target, f"DROP DATABASE {before} WITH (FORCE)")


SCENARIOS: dict[str, Scenario] = {
    "database/performance": Scenario(_seen_all),
    "database/analyze": Scenario(_analyzed, {"table": "projects", "vacuum": "true"}),
    "database/reindex": Scenario(_reindexed, {"kind": "table", "name": "drill"}, _make_drill_index),
    "database/connections": Scenario(_ended, {"minutes": "0.01"}, _start_long_query),
    "database/backup": Scenario(_backed_up, {"format": "plain"}),
    "database/restore": Scenario(_restored, {"swap": "true"}, make_backup),
}
