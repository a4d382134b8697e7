"""PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from opsnb.check import check
from opsnb.errors import BadAnswer, NotConfigured, ServiceError, TimedOut, Unreachable
from opsnb.model import Finding, Status
from opsnb.redaction import safe_url
from opsnb.target import Target

SYSTEM = "database"


@contextmanager
def connection(target: Target) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """Yield a read-only connection on which every statement is bounded by the time limit."""
    with errors(target), psycopg.connect(
        target.database_url,
        # libpq rounds anything below 2 s up to 2 s
        connect_timeout=max(2, round(target.time_limit_s)),
        application_name="opsnb",
        row_factory=psycopg.rows.dict_row,
    ) as connected:
        connected.read_only = True
        limit_ms = round(target.time_limit_s * 1000)
        connected.execute("SELECT set_config('statement_timeout', %s, true)", [str(limit_ms)])
        yield connected


@contextmanager
def errors(target: Target) -> Iterator[None]:
    """Map what psycopg raises within to ServiceErrors: the one place that knows its exceptions."""
    if not target.database_url:
        message = f"Target {target.name} names no database: set database_url in opsnb.toml."
        raise NotConfigured(SYSTEM, message)
    where = f"PostgreSQL at {_place(target.database_url)}"
    try:
        yield
    except ServiceError:
        raise
    except (psycopg.errors.ConnectionTimeout, psycopg.errors.QueryCanceled) as error:
        message = f"{where} did not answer within {target.time_limit_s:g} s."
        raise TimedOut(SYSTEM, message) from error
    except psycopg.OperationalError as error:
        raise Unreachable(SYSTEM, f"{where} cannot be reached: {_reason(error)}.") from error
    except psycopg.Error as error:
        raise BadAnswer(SYSTEM, f"{where} answered with an error: {_reason(error)}.") from error


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


def _place(url: str) -> str:
    """Return host, port and database of `url`, without the login."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return safe_url(url)
    host, port = parts.get("host", "localhost"), parts.get("port", 5432)
    return f"{host}:{port}/{parts.get('dbname', '')}"


def _reason(error: psycopg.Error) -> str:
    """Return what the server or the system said, in one line, without the address."""
    text = (error.diag.message_primary or str(error)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    for marker in ("FATAL:", "ERROR:", "failed:"):
        first = first.rpartition(marker)[2].strip() or first
    return first.rstrip(".")
