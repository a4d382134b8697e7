"""What has the same name, or is on the same server, is left alone."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from opsnb.actions.guard import Guard
from opsnb.checks.running import Measurement
from opsnb.config.settings import Limits
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Status
from opsnb.systems import database
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.integrity import checking, rehearse, rehearsing, violations
from opsnb.systems.database.recovery.likeness import creation, likeness
from opsnb.systems.database.settings import Database, Integrity
from tests.operate.database import act, own_database, query


def _indexes(target: Target) -> set[str]:
    rows = query(target, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
    return {str(row[0]) for row in rows}


def test_an_index_of_the_same_name_stays_and_the_new_one_gets_another(demo: Target) -> None:
    with own_database(demo) as own:
        query(own, "CREATE TABLE orders (status text, at timestamptz)")
        query(own, "CREATE INDEX idx_orders_status ON orders (at) WHERE status = 'open'")
        record, found = act(own, database.create_index, "orders", "status")
        assert (record.applied, record.verified) == (1, True), found
        assert _indexes(own) == {"idx_orders_status", "idx_orders_status_2"}
        record, _ = act(own, database.create_index, "orders", "status")
        assert record.planned == 0


def test_an_index_of_another_kind_or_with_the_column_beside_its_keys_is_another(
    demo: Target,
) -> None:
    with own_database(demo) as own:
        query(own, "CREATE TABLE orders (status int, at timestamptz)")
        query(own, "CREATE INDEX brins ON orders USING brin (at)")
        query(own, "CREATE INDEX covers ON orders (status) INCLUDE (at)")
        for columns, planned in (("at", 1), ("status,at", 1), ("status", 0)):
            assert act(own, database.create_index, "orders", columns)[0].planned == planned


def test_sessions_of_another_database_are_not_ended(demo: Target) -> None:
    name = "node-neighbours"
    with own_database(demo) as own, own_database(demo) as other:
        here = psycopg.connect(make_conninfo(Database.of(own).url, application_name=name))
        there = psycopg.connect(make_conninfo(Database.of(other).url, application_name=name))
        with here, there:
            record, found = act(own, database.end_sessions, application=name, idle_s=0)
            assert (record.planned, record.verified) == (1, True), found
            assert there.execute("SELECT 1").fetchone() == (1,)
            there.rollback()


def test_a_scratch_database_has_the_provider_of_the_live_one_and_not_the_clusters(
    demo: Target,
) -> None:
    with own_database(demo) as own:
        name = query(own, "SELECT current_database()")[0][0]
        query(demo, f"CREATE DATABASE {name}_c TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
        plain = own.changed(database_url=make_conninfo(Database.of(own).url, dbname=f"{name}_c"))
        with connection(plain) as live:
            statement = creation("scratch", likeness(live)).as_string()
        assert "LOCALE_PROVIDER libc" in statement


def test_a_repair_needs_no_right_to_read_every_column(demo: Target) -> None:
    with own_database(demo) as own:
        login = f"{query(own, 'SELECT current_database()')[0][0]}_ops"
        query(own, "CREATE TABLE items (id int, price int, card text)")
        query(own, "INSERT INTO items VALUES (1, -5, '4111'), (2, 7, '4222')")
        query(own, f"CREATE ROLE {login} LOGIN")
        try:
            query(own, f"GRANT SELECT (id, price), UPDATE (price) ON items TO {login}")
            few = own.changed(
                database_url=make_conninfo(Database.of(own).url, options=f"-c role={login}")
            )
            check = Integrity(
                name="negative",
                sql="SELECT id FROM items WHERE price < 0",
                repair="UPDATE items SET price = 0 WHERE price < 0",
            )
            with rehearsing(few) as connected:
                done = rehearse(connected, check)
            assert (done.changed, done.left.count, done.after) == (1, 0, [])
        finally:
            query(own, f"DROP OWNED BY {login}")
            query(own, f"DROP ROLE {login}")


def test_rows_that_a_policy_hides_are_not_read_as_no_violation(demo: Target) -> None:
    with own_database(demo) as own:
        login = f"{query(own, 'SELECT current_database()')[0][0]}_rls"
        query(own, "CREATE TABLE orders (id int, tenant int)")
        query(own, "INSERT INTO orders VALUES (1, 0), (2, 1)")
        query(own, "ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
        query(own, "CREATE POLICY one ON orders USING (tenant = 1)")
        query(own, f"CREATE ROLE {login}")
        check = Integrity(name="old", sql="SELECT id FROM orders WHERE tenant = 0")
        try:
            query(own, f"GRANT SELECT ON orders TO {login}")
            url = make_conninfo(Database.of(own).url, options=f"-c role={login}")
            hidden = own.changed(database_url=url)
            with (
                checking(hidden) as connected,
                pytest.raises(BadAnswer, match="row-level security"),
            ):
                violations(connected, check)
            with checking(own) as connected:
                assert violations(connected, check).count == 1
        finally:
            query(own, f"DROP OWNED BY {login}")
            query(own, f"DROP ROLE {login}")


def test_statistics_that_the_server_does_not_keep_are_not_read_as_none(demo: Target) -> None:
    def asked(option: str) -> Target:
        return demo.changed(
            database_url=make_conninfo(Database.of(demo).url, options=f"-c {option}")
        )

    finding = database.slow_statements(asked("pg_stat_statements.track=none"))
    assert (finding.status, "track is none" in finding.message) == (Status.UNKNOWN, True)
    finding = database.long_queries(asked("track_activities=off"))
    assert (finding.status, "track_activities" in finding.message) == (Status.UNKNOWN, True)
    uncounted = asked("track_counts=off")
    given = [
        check.given()
        for check in (database.cache_hits, database.unused_indexes, database.missing_indexes)
    ]
    for finding in Measurement(uncounted).run(given):
        assert finding.status is Status.UNKNOWN, finding
        assert "SET track_counts = on" in finding.message
    finding = database.vacuum_state(uncounted)  # autovacuum works by these counts
    assert finding.status is Status.WARN
    assert "Autovacuum is off, because track_counts is off" in finding.message


def test_what_somebody_holds_exclusively_keeps_no_plan_waiting(demo: Target) -> None:
    with own_database(demo) as own:
        query(own, "CREATE TABLE orders (id int, at date) PARTITION BY RANGE (at)")
        query(
            own,
            "CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO"
            " ('2027-01-01')",
        )
        query(own, "CREATE INDEX never_read ON orders (id)")
        query(own, "INSERT INTO orders SELECT n, '2026-05-05' FROM generate_series(1, 500) n")
        with psycopg.connect(Database.of(own).url) as holder:
            holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            record, _ = Guard(own, False, "", lambda _: None).act(database.analyze, "orders")
            assert (record.planned, record.error) == (1, None)
            holder.execute("REINDEX INDEX orders_1_id_idx")  # holds the index exclusively
            assert database.reindex(own, "orders", kind="table").planned == 1
            assert database.reindex(own, "never_read").planned == 1
            (found,) = Measurement(own).run([database.unused_indexes.given()])
            assert found.status is Status.UNKNOWN
            assert "that another session locks" in found.message


def test_idle_connections_name_what_ends_them(demo: Target) -> None:
    full = demo.changed(thresholds={"database_connections_percent": Limits(warn=1, crit=2)})
    url = make_conninfo(Database.of(demo).url, application_name="leaking pool")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(psycopg.connect(url, autocommit=True))
        (found,) = Measurement(full).run([database.connections.given()])
    assert found.status is Status.CRIT
    (remedy,) = found.remedies
    assert remedy.runbook == "troubleshooting/slow_queries"
    assert remedy.parameters == {"end_idle_of": "leaking pool"}


def test_a_table_that_was_analyzed_uncounted_is_not_called_left_out(demo: Target) -> None:
    with own_database(demo) as own:
        query(own, "CREATE TABLE items AS SELECT generate_series(1, 10) AS id")
        name = query(own, "SELECT current_database()")[0][0]
        query(demo, f"ALTER DATABASE {name} SET track_counts = off")
        record, found = act(own, database.analyze, "items")
        assert (record.applied, found[-1].status) == (1, Status.UNKNOWN), found
        assert "track_counts is off" in found[-1].message
