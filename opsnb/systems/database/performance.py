"""Where the time and the space go: statements, indexes, tables, cache and vacuum.

Each check is one set-based, limited query in a read-only transaction, so that ten thousand tables
cost little more than ten.
"""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString

from psycopg import sql

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.systems.database.access import MARKED, SYSTEM, Connection, connection
from opsnb.systems.database.relations import OURS
from opsnb.systems.database.sight import (
    LOCKED,
    QUERY,
    demand_counts,
    login,
    note_hidden_statements,
    note_uncounted,
    statement,
)
from opsnb.systems.database.statement_stats import Statistics, statistics
from opsnb.view import commands
from opsnb.view.formats import counted

SLOW_MS = 100.0
"""The handbook's limit for the mean time of a statement."""

_MOST_ROWS = 20
_SHOWN = 300  # characters of a statement
_RUNNING_SHOWN = 200
_MIB = 2**20
_OFTEN = 2  # what ran once, such as a migration, will not run again
_LEAST_BLOCKS = 100_000  # fewer reads tell nothing about a cache
_BIG_ROWS = 10_000
_OFTEN_SCANNED = 100


def _rows(
    database: Connection, query: LiteralString | sql.Composed, values: dict[str, object]
) -> list[Row]:
    return database.execute(query, values).fetchall()


@check(needs=(SYSTEM,))
def slow_statements(target: Target, mean_ms: float = SLOW_MS, limit: int = _MOST_ROWS) -> Finding:
    """Slow statements.

    By pg_stat_statements: those with a mean time over `mean_ms`, with their share of all time. A
    statement that ran once, and maintenance such as VACUUM or COPY, is listed but raises no alarm.
    """
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
    message = f"No statement that runs again and again takes more than {mean_ms:g} ms on average."
    if slow:
        share = sum(row["share_percent"] for row in slow)
        message = (
            f"{counted(len(slow), 'statement')} over {mean_ms:g} ms on average, "
            f"{share:.0f} % of all time; the slowest: {outside.head(slow[0]['statement'], 80)}"
        )
    return Finding.measured(slowest, limits, message, rows=rows)


def _without_statistics(database: Connection, why: str) -> Finding:
    """Return what can be seen all the same: what runs at this moment."""
    rows = _rows(
        database,
        "SELECT pid, usename AS user, application_name AS application,"
        " round(extract(epoch FROM clock_timestamp() - query_start)::numeric, 1)::float AS runs_s,"
        f" wait_event_type AS waits_for, {QUERY}"
        " FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' AND datname = current_database()"
        " ORDER BY query_start LIMIT %(limit)s",
        {"limit": _MOST_ROWS},
    )
    for row in rows:
        row["statement"] = statement(row.pop("query"), _RUNNING_SHOWN)
    running = " Below is what runs now." if rows else ""
    return Finding(status=Status.UNKNOWN, message=why + running, rows=rows)


def _slow(database: Connection, known: Statistics, mean_ms: float, limit: int) -> list[Row]:
    query = sql.SQL(
        "SELECT query AS statement, calls,"
        " round({mean}::numeric, 2)::float AS mean_ms,"
        " round({total}::numeric / 1000, 1)::float AS total_s,"
        " round((100 * {total} / nullif(sum({total}) OVER (), 0))::numeric, 1)::float"
        " AS share_percent, rows, queryid IS NULL AS hidden,"
        " calls >= %(often)s AND query ~* '^[\\s(]*(select|insert|update|delete|merge|with|values)'"
        " AS judged, {mean} AS mean"
        " FROM {view} WHERE dbid = (SELECT oid FROM pg_database"
        " WHERE datname = current_database()) AND query NOT LIKE %(ours)s"
    ).format(mean=known.mean, total=known.total, view=known.view)
    values = {"often": _OFTEN, "mean_ms": mean_ms, "limit": limit, "ours": MARKED}
    hidden = sql.SQL(
        "SELECT count(*)::int AS n FROM ({}) AS s"
        " WHERE hidden AND calls >= %(often)s AND mean > %(mean_ms)s"
    ).format(query)
    note_hidden_statements(database, _rows(database, hidden, values)[0]["n"])
    outer = sql.SQL(
        "SELECT left(statement, 8192) AS statement, calls, mean_ms, total_s, share_percent, rows,"
        " judged"
        " FROM ({}) AS s WHERE mean > %(mean_ms)s AND NOT hidden"
        " ORDER BY judged DESC, mean DESC LIMIT %(limit)s"
    ).format(query)
    rows = _rows(database, outer, values)
    return [{**row, "statement": outside.one_line(row["statement"], _SHOWN, "")} for row in rows]


@check(needs=(SYSTEM,))
def cache_hits(target: Target) -> Finding:
    """Blocks found in PostgreSQL's own cache"""
    with connection(target) as database:
        demand_counts(database)
        (row,) = _rows(
            database,
            "SELECT blks_hit, blks_read, to_char(stats_reset, 'YYYY-MM-DD HH24:MI') AS since,"
            " current_setting('shared_buffers') AS shared_buffers"
            " FROM pg_stat_database WHERE datname = current_database()",
            {},
        )
    blocks = row["blks_hit"] + row["blks_read"]
    if blocks < _LEAST_BLOCKS:
        message = f"PostgreSQL read only {blocks:,} blocks so far: too few to judge its cache."
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

    But for those that keep rows unique. A replica may read what is never read here.
    """
    with connection(target) as database:
        demand_counts(database)
        rows = _rows(
            database,
            f"WITH {LOCKED}, unused AS MATERIALIZED (SELECT s.indexrelid, c.relpages"
            " FROM pg_index i"
            " JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'"
            " JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid"
            " WHERE s.idx_scan = 0 AND NOT i.indisunique AND NOT i.indisprimary"
            " AND NOT i.indisexclusion AND i.indexrelid NOT IN (SELECT relation FROM locked)"
            " AND i.indrelid NOT IN (SELECT relation FROM locked))"
            " SELECT indexrelid::regclass::text AS index,"
            " (SELECT indrelid::regclass::text FROM pg_index i WHERE i.indexrelid = u.indexrelid)"
            " AS table,"
            " round(relpages * current_setting('block_size')::numeric / 1048576, 1)::float AS mib,"
            " (count(*) OVER ())::int AS of, (sum(relpages::bigint) OVER () *"
            " current_setting('block_size')::numeric / 1048576)::float AS all_mib"
            " FROM unused u ORDER BY relpages DESC, 1 LIMIT %(limit)s",
            {"limit": limit},
        )
        (held,) = _rows(
            database,
            f"WITH {LOCKED} SELECT count(*)::int AS n FROM pg_index i"
            " WHERE i.indexrelid IN (SELECT relation FROM locked)"
            " OR i.indrelid IN (SELECT relation FROM locked)",
            {},
        )
        if held["n"]:
            evidence.partial(
                f"{counted(held['n'], 'index', 'indexes')} that another session locks; find it "
                f"with: {commands.run('database/connections', target)}"
            )
        (since,) = _rows(
            database,
            "SELECT coalesce(to_char(stats_reset, 'YYYY-MM-DD HH24:MI'), 'the beginning') AS since"
            " FROM pg_stat_database WHERE datname = current_database()",
            {},
        )
    count, mib = (rows[0]["of"], rows[0]["all_mib"]) if rows else (0, 0.0)
    message = (
        f"{counted(count, 'index', 'indexes')} never read since {since['since']}: {mib:,.1f} MiB."
    )
    shown = [{key: row[key] for key in ("index", "table", "mib")} for row in rows]
    return Finding.measured(mib, target.threshold("database_unused_index_mib"), message, rows=shown)


@check(
    needs=(SYSTEM,),
    treated_by=treated_by(
        "troubleshooting/slow_queries", "explains the slowest statement, and proposes an index"
    ),
)
def missing_indexes(target: Target, rows_from: int = _BIG_ROWS) -> Finding:
    """Big tables that are read from end to end.

    Those of at least `rows_from` rows where most scans, and at least a hundred, read all of it.
    """
    with connection(target) as database:
        note_uncounted(database)
        rows = _rows(
            database,
            "SELECT relid::regclass::text AS table, n_live_tup AS rows, seq_scan AS full_scans,"
            " coalesce(idx_scan, 0) AS index_scans, seq_tup_read / seq_scan AS rows_a_scan"
            " FROM pg_stat_user_tables WHERE n_live_tup >= %(from)s AND seq_scan >= %(often)s"
            " AND seq_scan > coalesce(idx_scan, 0)"
            " ORDER BY seq_tup_read DESC LIMIT %(limit)s",
            {"from": rows_from, "often": _OFTEN_SCANNED, "limit": _MOST_ROWS},
        )
    if not rows:
        message = f"No table of {rows_from:,} rows and more is mostly read from end to end."
        return Finding(status=Status.OK, message=message, value=0, unit="tables")
    first = rows[0]
    return Finding(
        status=Status.WARN,
        message=f"{counted(len(rows), 'table')} mostly read from end to end, {first['table']} "
        f"{first['full_scans']:,} times: look for the WHERE that lacks an index.",
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
        rows = _rows(
            database,
            f"WITH {LOCKED}, indexes AS MATERIALIZED (SELECT i.indrelid,"
            " sum(c.relpages::bigint) AS pages FROM pg_index i"
            " JOIN pg_class c ON c.oid = i.indexrelid GROUP BY 1),"
            " counted AS MATERIALIZED (SELECT c.oid, c.reltuples,"
            # Rows that no vacuum or analyze has seen yet are not in relpages.
            " greatest(c.relpages::bigint, pg_stat_get_live_tuples(c.oid) / 100)"
            " + coalesce(toast.relpages, 0) + coalesce(i.pages, 0) AS pages"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid"
            " LEFT JOIN indexes i ON i.indrelid = c.oid"
            f" WHERE c.relkind IN ('r', 'm') AND {OURS}"
            " AND c.oid NOT IN (SELECT relation FROM locked)),"
            # Measuring opens every file, so it is done for those that may be among the largest.
            " largest AS MATERIALIZED (SELECT oid, reltuples,"
            " (count(*) OVER ())::int AS of, (sum(pages) OVER ())::bigint"
            " * current_setting('block_size')::int AS all_bytes"
            " FROM counted ORDER BY pages DESC LIMIT %(measured)s),"
            " sizes AS MATERIALIZED (SELECT *, pg_table_size(oid) AS bytes,"
            " pg_indexes_size(oid) AS index_bytes FROM largest)"
            " SELECT oid::regclass::text AS table,"
            " round(bytes / 1048576.0, 2)::float AS table_mib,"
            " round(index_bytes / 1048576.0, 2)::float AS index_mib,"
            " CASE WHEN reltuples >= 0 THEN reltuples::bigint END AS rows_estimated,"
            " of, all_bytes FROM sizes ORDER BY bytes + index_bytes DESC, 1 LIMIT %(limit)s",
            {"limit": limit, "measured": 10 * limit},
        )
        (held,) = _rows(
            database, f"WITH {LOCKED} SELECT count(DISTINCT relation)::int AS n FROM locked", {}
        )
    of, total = (rows[0]["of"], rows[0]["all_bytes"]) if rows else (0, 0)
    message = f"{counted(of, 'table')} with all indexes: about {total / _MIB:,.1f} MiB."
    if held["n"]:
        message += f" {held['n']} relations are locked exclusively and were left out."
    keys = ("table", "table_mib", "index_mib", "rows_estimated")
    shown = [{key: row[key] for key in keys} for row in rows]
    return Finding(status=Status.OK, message=message, value=total / _MIB, unit="MiB", rows=shown)


@check(needs=(SYSTEM,))
def bloat(target: Target, least_mib: float = 10.0) -> Finding:
    """Bloat of the largest tables, estimated.

    From the planner's statistics: the space that the rows need against the space that the table
    has, of the hundred largest tables with at least `least_mib` MiB. Off by some 20 %.
    """
    with connection(target) as database:
        rows = _rows(
            database,
            "WITH block AS (SELECT current_setting('block_size')::numeric AS size),"
            " largest AS MATERIALIZED (SELECT c.oid, c.relname, n.nspname, c.relpages,"
            " c.reltuples, coalesce(substring(array_to_string(c.reloptions, ' ')"
            " FROM 'fillfactor=([0-9]+)')::numeric, 100) / 100 AS fill"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, block"
            f" WHERE c.relkind IN ('r', 'm') AND c.reltuples > 0 AND {OURS}"
            " AND c.relpages * block.size >= %(least)s * 1048576"
            " ORDER BY c.relpages DESC LIMIT 100),"
            # 24 bytes of header and 4 of item pointer for each row, 24 of header for each page
            " needed AS (SELECT l.*, 28 + sum((1 - s.null_frac) * s.avg_width) AS width"
            " FROM largest l JOIN pg_stats s"
            " ON s.schemaname = l.nspname AND s.tablename = l.relname AND NOT s.inherited"
            " GROUP BY l.oid, l.relname, l.nspname, l.relpages, l.reltuples, l.fill),"
            " estimated AS (SELECT n.oid, n.relpages * block.size AS bytes, greatest(0,"
            " n.relpages - ceil(n.reltuples::numeric * n.width::numeric"
            " / ((block.size - 24) * n.fill)))"
            " * block.size AS wasted FROM needed n, block)"
            " SELECT e.oid::regclass::text AS table, round(bytes / 1048576, 1)::float AS mib,"
            " round(wasted / 1048576, 1)::float AS wasted_mib,"
            " round(100 * wasted / bytes, 0)::float AS wasted_percent,"
            " pg_stat_get_dead_tuples(e.oid) AS dead_rows"
            " FROM estimated e ORDER BY wasted DESC LIMIT %(limit)s",
            {"least": least_mib, "limit": _MOST_ROWS},
        )
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
    """Say which large tables' statistics this login may not see."""
    (row,) = _rows(
        database,
        "SELECT count(*)::int AS n, min(c.oid::regclass::text) AS first"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN ('r', 'm') AND c.reltuples > 0 AND {OURS}"
        " AND c.relpages * current_setting('block_size')::numeric >= %(least)s * 1048576"
        " AND NOT has_any_column_privilege(c.oid, 'SELECT')",
        {"least": least_mib},
    )
    if row["n"]:
        evidence.partial(
            f"login {login(database)} may not read {counted(row['n'], 'large table')}, such as "
            f"{row['first']}, and so not their statistics; as superuser: GRANT SELECT ON "
            f"{row['first']} TO {login(database)};"
        )


@check(needs=(SYSTEM,))
def vacuum_state(target: Target) -> Finding:
    """Vacuum and transaction ids"""
    with connection(target) as database:
        (age,) = _rows(
            database,
            "SELECT age(datfrozenxid) AS xids, current_setting('autovacuum') AS autovacuum,"
            " current_setting('track_counts') AS track_counts"
            " FROM pg_database WHERE datname = current_database()",
            {},
        )
        rows = _rows(
            database,
            "SELECT relid::regclass::text AS table, n_live_tup AS rows, n_dead_tup AS dead_rows,"
            " n_mod_since_analyze AS changed_since_analyze,"
            " to_char(greatest(last_vacuum, last_autovacuum), 'YYYY-MM-DD HH24:MI') AS vacuumed,"
            " to_char(greatest(last_analyze, last_autoanalyze), 'YYYY-MM-DD HH24:MI') AS analyzed"
            " FROM pg_stat_user_tables ORDER BY n_dead_tup DESC, n_mod_since_analyze DESC, 1"
            " LIMIT %(limit)s",
            {"limit": _MOST_ROWS},
        )
    percent = 100 * age["xids"] / 2**31
    message = f"PostgreSQL uses {age['xids']:,} transaction ids, {percent:.1f} % of all."
    missing = [name for name in ("autovacuum", "track_counts") if age[name] != "on"]
    if missing:
        fix = " ".join(f"ALTER SYSTEM SET {name} = on;" for name in missing)
        why = "" if "autovacuum" in missing else ", for track_counts is"
        message += f" Autovacuum is off{why}: {fix} SELECT pg_reload_conf();"
    finding = Finding.measured(
        percent, target.threshold("database_xid_age_percent"), message, rows=rows
    )
    if missing and finding.status is Status.OK:
        finding.status = Status.WARN
        finding.threshold = None  # it is not the transaction ids that need treatment
        finding.untreated = "a superuser turns it on with the commands of the message"
    return finding
