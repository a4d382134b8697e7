"""What takes the database's time and space: statements, indexes, tables, cache and vacuum.

Each check is one limited query in a read-only transaction, so that ten thousand tables cost little
more than ten.
"""

from __future__ import annotations

from dataclasses import replace

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import MARKED, Connection
from opsnb.systems.database.explaining import BIG_ROWS
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.sight import (
    demand_counts,
    login,
    note_hidden_statements,
    note_uncounted,
    statement,
)
from opsnb.systems.database.statement_stats import Statistics, statistics
from opsnb.view import commands
from opsnb.view.formats import MIB, counted

_MOST_ROWS = 20
_SHOWN = 300  # characters of a statement
_RUNNING_SHOWN = 200
_OFTEN = 2  # a statement that ran once, such as a migration, will not run again


@check(needs=(SYSTEM,))
def slow_statements(
    target: Target, mean_ms: float | None = None, limit: int = _MOST_ROWS
) -> Finding:
    """Slow statements.

    By pg_stat_statements: statements with a mean time over `mean_ms`, by default the target's
    limit, and their share of all time. A statement that ran once, and maintenance such as VACUUM or
    COPY, is listed but raises no alarm.
    """
    mean_ms = target.limit("database_statement_ms", mean_ms)
    with connection(target) as database:
        try:
            known = statistics(database)
        except BadAnswer as error:
            return _without_statistics(database, str(error))
        rows = _slow(database, known, mean_ms, limit)
    slow = [row for row in rows if row["judged"]]
    for row in rows:
        del row["judged"]
    limits = replace(target.threshold("database_statement_ms"), warn=mean_ms)
    slowest = max((row["mean_ms"] for row in slow), default=0.0)
    message = f"No statement that ran more than once takes over {mean_ms:g} ms on average."
    if slow:
        share = sum(row["share_percent"] for row in slow)
        message = (
            f"{counted(len(slow), 'statement')} over {mean_ms:g} ms on average, "
            f"{share:.0f} % of all time; the slowest: {outside.head(slow[0]['statement'], 80)}"
        )
    return Finding.measured(slowest, limits, message, rows=rows)


def _without_statistics(database: Connection, why: str) -> Finding:
    """Return what is known without statistics: the statements that run now."""
    rows = queries.rows(database, "running_statements", most=_MOST_ROWS)
    for row in rows:
        row["statement"] = statement(row.pop("query"), _RUNNING_SHOWN)
    running = " Below are the statements that run now." if rows else ""
    return Finding(status=Status.UNKNOWN, message=why + running, rows=rows)


def _slow(database: Connection, known: Statistics, mean_ms: float, limit: int) -> list[Row]:
    values = {
        "schema": known.schema,
        "mean": known.mean,
        "total": known.total,
        "often": _OFTEN,
        "mean_ms": mean_ms,
    }
    note_hidden_statements(database, queries.row(database, "hidden_slow_statements", **values)["n"])
    rows = queries.rows(database, "slow_statements", **values, most=limit, ours=MARKED)
    return [{**row, "statement": outside.one_line(row["statement"], _SHOWN, "")} for row in rows]


@check(needs=(SYSTEM,))
def cache_hits(target: Target) -> Finding:
    """Blocks found in PostgreSQL's own cache"""
    with connection(target) as database:
        demand_counts(database)
        row = queries.row(database, "block_cache")
    blocks = row["blks_hit"] + row["blks_read"]
    if blocks < target.limit("database_blocks"):
        message = f"PostgreSQL has read only {blocks:,} blocks: too few to judge its cache."
        return Finding(status=Status.OK, message=message, rows=[row])
    percent = 100 * row["blks_hit"] / blocks
    message = (
        f"PostgreSQL cache hit rate {percent:.1f} % ({blocks:,} blocks; shared_buffers is "
        f"{row['shared_buffers']})."
    )
    return Finding.measured(
        percent, target.threshold("database_cache_hit_percent"), message, rows=[row]
    )


@check(needs=(SYSTEM,))
def unused_indexes(target: Target, limit: int = _MOST_ROWS) -> Finding:
    """Indexes that were never read.

    Indexes that keep rows unique are not counted. A replica may read an index that is never read
    here.
    """
    with connection(target) as database:
        demand_counts(database)
        rows = queries.rows(database, "unused_indexes", most=limit)
        since = queries.row(database, "statistics_reset")["since"]
        locked = queries.row(database, "locked_relations")["indexes"]
        if locked:
            evidence.partial(
                f"{counted(locked, 'index', 'indexes')} that another session locks; find it "
                f"with: {commands.run('database/connections', target)}"
            )
    count, mib = (rows[0]["of"], rows[0]["all_mib"]) if rows else (0, 0.0)
    message = f"{counted(count, 'index', 'indexes')} never read since {since}: {mib:,.1f} MiB."
    shown = [{key: row[key] for key in ("index", "table", "mib")} for row in rows]
    return Finding.measured(mib, target.threshold("database_unused_index_mib"), message, rows=shown)


@check(
    needs=(SYSTEM,),
    treated_by=treated_by(
        "troubleshooting/slow_queries", "explains the slowest statement and proposes an index"
    ),
)
def missing_indexes(target: Target, rows_from: int = BIG_ROWS) -> Finding:
    """Big tables that are read from end to end.

    Tables of at least `rows_from` rows where most scans read every row, and more than a few do.
    """
    with connection(target) as database:
        note_uncounted(database)
        often = target.limit("database_full_scans")
        rows = queries.rows(
            database, "full_scans", rows_from=rows_from, often=often, most=_MOST_ROWS
        )
    if not rows:
        message = f"No table of {rows_from:,} rows or more is mostly read from end to end."
        return Finding(status=Status.OK, message=message, value=0, unit="tables")
    first = rows[0]
    return Finding(
        status=Status.WARN,
        message=f"{counted(len(rows), 'table')} mostly read from end to end, {first['table']} "
        f"{first['full_scans']:,} times: find the WHERE that lacks an index.",
        value=len(rows),
        unit="tables",
        rows=rows,
    )


@check(needs=(SYSTEM,))
def table_sizes(target: Target, limit: int = _MOST_ROWS) -> Finding:
    """Sizes of tables and their indexes.

    The largest are measured; the sum of all is the planner's estimate.
    """
    with connection(target) as database:
        rows = queries.rows(database, "table_sizes", most=limit, measured=10 * limit)
        locked = queries.row(database, "locked_relations")["relations"]
    of, total = (rows[0]["of"], rows[0]["all_bytes"]) if rows else (0, 0)
    message = f"{counted(of, 'table')} with all indexes: about {total / MIB:,.1f} MiB."
    if locked:
        message += f" {counted(locked, 'relation')} skipped, locked exclusively."
    keys = ("table", "table_mib", "index_mib", "rows_estimated")
    shown = [{key: row[key] for key in keys} for row in rows]
    return Finding(status=Status.OK, message=message, value=total / MIB, unit="MiB", rows=shown)


@check(needs=(SYSTEM,))
def bloat(target: Target, least_mib: float = 10.0) -> Finding:
    """Bloat of the largest tables, estimated.

    From the planner's statistics: the space that the rows need, compared with the table's size,
    for the hundred largest tables of at least `least_mib` MiB. Off by some 20 %.
    """
    with connection(target) as database:
        rows = queries.rows(database, "bloat", least_mib=least_mib, most=_MOST_ROWS)
        _note_unreadable(database, least_mib)
    if not rows:
        message = f"Bloat: no table with statistics is larger than {least_mib:g} MiB."
        return Finding(status=Status.OK, message=message)
    worst = max(rows, key=lambda row: float(row["wasted_percent"]))
    message = (
        f"Bloat: about {sum(row['wasted_mib'] for row in rows):,.0f} MiB of the largest tables; "
        f"{worst['table']} is {worst['wasted_percent']:.0f} % empty."
    )
    return Finding.measured(
        worst["wasted_percent"], target.threshold("database_bloat_percent"), message, rows=rows
    )


def _note_unreadable(database: Connection, least_mib: float) -> None:
    """Report the large tables whose statistics this login may not see."""
    row = queries.row(database, "unreadable_tables", least_mib=least_mib)
    if row["n"]:
        evidence.partial(
            f"login {login(database)} may not read {counted(row['n'], 'large table')}, such as "
            f"{row['first']}, nor the statistics of these; as superuser: GRANT SELECT ON "
            f"{row['first']} TO {login(database)};"
        )


@check(needs=(SYSTEM,))
def vacuum_state(target: Target) -> Finding:
    """Vacuum and transaction ids"""
    with connection(target) as database:
        age = queries.row(database, "transaction_ids")
        rows = queries.rows(database, "dead_rows", most=_MOST_ROWS)
    percent = 100 * age["xids"] / 2**31
    message = f"PostgreSQL uses {age['xids']:,} transaction ids, {percent:.1f} % of all."
    missing = [name for name in ("autovacuum", "track_counts") if age[name] != "on"]
    if missing:
        fix = " ".join(f"ALTER SYSTEM SET {name} = on;" for name in missing)
        why = "" if "autovacuum" in missing else ", because track_counts is off"
        message += f" Autovacuum is off{why}: {fix} SELECT pg_reload_conf();"
    finding = Finding.measured(
        percent, target.threshold("database_xid_age_percent"), message, rows=rows
    )
    if missing and finding.status is Status.OK:
        finding.status = Status.WARN
        finding.threshold = None  # the transaction ids are not the problem
        finding.untreated = "a superuser turns it on with the commands in the message"
    return finding
