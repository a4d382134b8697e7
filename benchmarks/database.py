"""The database's performance checks on ten thousand tables, beside the handbook's three queries.

    python benchmarks/database.py

Brings up PostgreSQL as a demo stack does, makes 10,000 small tables with an index each in a
database of their own, and prints, from medians of several rounds:

- all checks of the runbook database/performance together (goal: under 5 s),
- the same over the three queries of the handbook's section 4.1, typed into psql one after another,
- each check alone.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from _beside import head, median_s, row

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.demo.home import Home, Settings, free_port
from opsnb.demo.postgres import Postgres, postgres_program
from opsnb.systems import database
from opsnb.systems.database.programs import environment
from opsnb.systems.database.settings import Database

TABLES = 10_000
BATCH = 500
ROUNDS = 5
GOAL_S = 5.0
CHECKS = (
    database.ping,
    database.slow_statements,
    database.cache_hits,
    database.missing_indexes,
    database.unused_indexes,
    database.invalid_indexes,
    database.table_sizes,
    database.bloat,
    database.vacuum_state,
    database.blocking,
)
# As the handbook has them, but for two columns that it misnames: pg_stat_user_indexes calls them
# relname and indexrelname. Names are quoted, which ours do not need.
HANDBOOK = (
    "SELECT query, mean_exec_time, calls FROM pg_stat_statements WHERE mean_exec_time > 100"
    " ORDER BY mean_exec_time DESC LIMIT 20;",
    "SELECT schemaname, relname, indexrelname, idx_scan FROM pg_stat_user_indexes"
    " ORDER BY idx_scan ASC LIMIT 20;",
    "SELECT schemaname, tablename,"
    " pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) AS size"
    " FROM pg_tables WHERE schemaname = 'public'"
    " ORDER BY pg_total_relation_size(schemaname||'.'||tablename) DESC;",
)


def fill(url: str) -> None:
    """Make the tables, in batches: each holds locks until it is committed."""
    with psycopg.connect(url, autocommit=True) as connection:
        for start in range(0, TABLES, BATCH):
            connection.execute(
                f"DO $$ BEGIN FOR n IN {start}..{start + BATCH - 1} LOOP"
                " EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, note text)', n);"
                " EXECUTE format('CREATE INDEX t%s_note ON t%s (note)', n, n);"
                " EXECUTE format('INSERT INTO t%s SELECT i, i FROM generate_series(1, 20) i', n);"
                " END LOOP; END $$"
            )
        connection.execute("ANALYZE")


def psql(target: Target) -> Callable[[], object]:
    """Return the handbook's queries as typed into psql, one after another."""
    program = str(Path(Database.of(target).programs, "psql"))

    def typed() -> None:
        for query in HANDBOOK:
            subprocess.run(
                [program, "-X", "-c", query],
                env=environment(target),
                check=True,
                capture_output=True,
            )

    return typed


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        os.environ["OPSNB_DEMO_HOME"] = str(Path(folder, "demo"))
        home = Home.current()
        home.create()
        settings = Settings(postgres_port=free_port())
        server = Postgres(home, settings)
        server.start()
        try:
            server.make_database()
            target = Target(name="benchmark").changed(
                database_url=settings.database_url, pg_bin=str(postgres_program("psql").parent)
            )
            clock = time.perf_counter()
            fill(Database.of(target).url)
            print(f"{TABLES:,} tables were made in {time.perf_counter() - clock:.1f} s.")
            found = Measurement(target).run(CHECKS)
            for finding in found:
                print(f"{finding.status:<8}{finding.name:<28}{finding.message[:100]}")
            together = median_s(lambda: Measurement(target).run(CHECKS), ROUNDS)
            alone = {check.name: median_s(lambda c=check: c(target), ROUNDS) for check in CHECKS}  # type: ignore[misc]
            peer = median_s(psql(target), ROUNDS)
        finally:
            server.stop()
    head(f"medians of {ROUNDS} rounds")
    row(f"all {len(CHECKS)} checks together / the handbook's queries in psql", together, peer)
    row(f"all {len(CHECKS)} checks together / the goal", together, GOAL_S)
    for name, seconds in alone.items():
        row(f"{name} alone / the same", seconds, peer)


if __name__ == "__main__":
    main()
