"""PostgreSQL."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
    with (
        errors(target),
        psycopg.connect(
            target.database_url,
            # libpq rounds anything below 2 s up to 2 s
            connect_timeout=max(2, round(target.time_limit_s)),
            application_name="opsnb",
            row_factory=psycopg.rows.dict_row,
        ) as connected,
    ):
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


@check(needs=(SYSTEM,))
def statements(target: Target) -> Finding:
    """Statement statistics (pg_stat_statements)"""
    with connection(target) as database:
        loaded = database.execute(
            "SELECT current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%' AS yes"
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
    path = program(target, "pg_dump")
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        message = f"{path} cannot be run on this machine, so there is no backup: {error}."
        return Finding(status=Status.WARN, message=message)
    version = re.search(r"\d+", told)
    if version is None:
        raise BadAnswer(SYSTEM, f"{path} --version does not tell its version.")
    major = int(version[0])
    with connection(target) as database:
        server = database.info.server_version // 10_000
    if major < server:
        message = f"pg_dump {major} is older than the server ({server}) and refuses to dump it."
        return Finding(status=Status.WARN, message=message)
    return Finding(status=Status.OK, message=f"pg_dump {major} can dump the server ({server}).")


def program(target: Target, name: str) -> str:
    """Return the path of PostgreSQL's client program `name`, or its bare name for the PATH."""
    return str(Path(target.pg_bin, name)) if target.pg_bin else name


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
