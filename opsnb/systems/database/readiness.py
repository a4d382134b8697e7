"""Whether PostgreSQL answers, and has what its runbooks need."""

from __future__ import annotations

import time

from opsnb.check import check
from opsnb.model import Finding, Status
from opsnb.systems.database.access import SYSTEM, connection, program_version
from opsnb.target import Target


@check(probes=SYSTEM)
def ping(target: Target) -> Finding:
    """Database connection"""
    with connection(target) as database:
        clock = time.perf_counter()
        database.execute("SELECT 1").fetchone()
        took_ms = (time.perf_counter() - clock) * 1000
        facts = database.execute(
            "SELECT current_database() AS database, current_user AS user,"
            " current_setting('server_version') AS version,"
            " date_trunc('second', now() - pg_postmaster_start_time())::text AS uptime,"
            " pg_is_in_recovery() AS replica"
        ).fetchone()
    assert facts is not None  # a SELECT without FROM returns one row
    return Finding(
        status=Status.OK,
        message=f"SELECT 1 was answered in {took_ms:.1f} ms by PostgreSQL {facts['version']}.",
        value=took_ms,
        unit="ms",
        rows=[{"fact": name, "value": value} for name, value in facts.items()],
    )


@check(needs=(SYSTEM,))
def statements(target: Target) -> Finding:
    """Statement statistics (pg_stat_statements)"""
    with connection(target) as database:
        # A login without pg_read_all_settings does not see the setting; then it is taken for well.
        loaded = database.execute(
            "SELECT coalesce((SELECT setting LIKE '%pg_stat_statements%' FROM pg_settings"
            " WHERE name = 'shared_preload_libraries'), true) AS yes"
        ).fetchone()
        created = database.execute(
            "SELECT extversion FROM pg_extension WHERE extname = 'pg_stat_statements'"
        ).fetchone()
    if loaded and loaded["yes"] and created:
        message = f"pg_stat_statements {created['extversion']} is loaded."
        return Finding(status=Status.OK, message=message)
    lacking = "not created in this database" if loaded and loaded["yes"] else "not loaded"
    message = f"pg_stat_statements is {lacking}, so slow statements cannot be told."
    return Finding(status=Status.WARN, message=message)


@check(needs=(SYSTEM,))
def pg_dump(target: Target) -> Finding:
    """pg_dump, for backups"""
    try:
        major = program_version(target, "pg_dump")
    except OSError as error:
        message = f"There can be no backup: {error}."
        return Finding(status=Status.WARN, message=message)
    with connection(target) as database:
        server = database.info.server_version // 10_000
    if major < server:
        message = f"pg_dump {major} is older than the server ({server}) and refuses to dump it."
        return Finding(status=Status.WARN, message=message)
    return Finding(status=Status.OK, message=f"pg_dump {major} can dump the server ({server}).")
