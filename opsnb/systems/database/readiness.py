"""Whether PostgreSQL responds, and has what its runbooks need."""

from __future__ import annotations

import time

from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Status
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.programs import Program
from opsnb.systems.database.server import major_version
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
        facts = queries.row(database, "server_facts")
        pooled = facts["server_process"] != database.pgconn.backend_pid
    message = f"PostgreSQL {facts['version']} answered SELECT 1 in {took_ms:.1f} ms"
    if pooled:
        message += ", through a pooler"
    message += "."
    if Database.of(target).left_out:
        message += (
            " Ignored in database_url, because only an ORM or a driver knows it: "
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


@check(needs=(SYSTEM,), treated_by="install a pg_dump of the server's version")
def pg_dump(target: Target) -> Finding:
    """pg_dump, for backups"""
    try:
        major = Program(target, "pg_dump").version()
    except OSError as error:
        message = f"Backups are impossible: {error}."
        return Finding(status=Status.WARN, message=message)
    with connection(target) as database:
        server = major_version(database)
    if major < server:
        message = f"pg_dump {major} is older than the server ({server}) and refuses to dump it."
        return Finding(status=Status.WARN, message=message)
    return Finding(status=Status.OK, message=f"pg_dump {major} can dump the server ({server}).")
