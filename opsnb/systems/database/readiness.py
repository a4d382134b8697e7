"""Whether PostgreSQL answers, and has what its runbooks need."""

from __future__ import annotations

import time

from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Status
from opsnb.systems.database.access import SYSTEM, connection, program_version
from opsnb.systems.database.settings import Database
from opsnb.systems.database.statement_stats import statistics


@check(
    probes=SYSTEM,
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
)
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
            " pg_is_in_recovery() AS replica, pg_backend_pid() AS server_process"
        ).fetchone()
        pooled = facts is not None and facts["server_process"] != database.pgconn.backend_pid
    assert facts is not None  # a SELECT without FROM returns one row
    message = f"PostgreSQL {facts['version']} answered SELECT 1 in {took_ms:.1f} ms"
    if pooled:
        message += ", through a pooler"
    message += "."
    if Database.of(target).left_out:
        message += (
            " Left out of database_url, as only an ORM or a driver knows it: "
            f"{', '.join(Database.of(target).left_out)}."
        )
    return Finding(
        status=Status.OK,
        message=message,
        value=took_ms,
        unit="ms",
        rows=[{"fact": name, "value": value} for name, value in facts.items()],
    )


@check(needs=(SYSTEM,), treated_by="the message says what to set")
def statements(target: Target) -> Finding:
    """Statement statistics (pg_stat_statements)"""
    with connection(target) as database:
        try:
            known = statistics(database)
        except BadAnswer as error:
            return Finding(status=Status.WARN, message=str(error))
    message = f"pg_stat_statements {known.version} is loaded."
    return Finding(status=Status.OK, message=message)


@check(needs=(SYSTEM,), treated_by="install the pg_dump of the version that the server has")
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
