"""PostgreSQL 13 to 18 as a login without rights sees it, and as one with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
import pytest

from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.handbook.troubleshooting import slow_queries
from opsnb.model import ActionState, Finding, Status
from opsnb.systems import database
from tests.operate.database import act, wait_for
from tests.servers.postgres import PACKAGED, VERSIONS, Server, server
from tests.systems.database.test_checks import CHECKS

pytestmark = pytest.mark.skipif(not PACKAGED, reason="no programs for this machine")

OF_THE_SERVER = [check for check in CHECKS if check is not database.pg_dump]


@dataclass(frozen=True)
class Shop:
    """A database of the service's, whose role is the owner of everything in it."""

    server: Server

    def target(self, role: str = "ops", **parameters: str) -> Target:
        return Target(name="shop").changed(database_url=self.server.url(role, "shop", **parameters))

    def query(self, *statements: str, role: str = "shopapp") -> list[tuple[object, ...]]:
        return self.server.query(*statements, role=role, database="shop")

    @contextmanager
    def holding(self, *statements: str, role: str = "shopapp") -> Iterator[psycopg.Connection]:
        """Keep a transaction of the service open, in which the statements were run."""
        with psycopg.connect(
            self.server.url(role, "shop", application_name="shop-api")
        ) as connection:
            for statement in statements:
                connection.execute(statement.encode())
            yield connection

    @contextmanager
    def waiting(self, statement: str) -> Iterator[None]:
        """Let the service run a statement meanwhile, until it ends or is ended."""

        def run() -> None:
            with suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as connection:
                pids.append(connection.info.backend_pid)
                connection.execute(statement.encode())

        pids: list[int] = []
        url = self.server.url("shopapp", "shop", application_name="shop-worker")
        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_for(lambda: bool(pids and self._waits(pids[0])))
            yield
            thread.join(1)
        finally:
            if thread.is_alive():
                self.query(f"SELECT pg_terminate_backend({pids[0]})", role="postgres")
            thread.join()

    def _waits(self, pid: int) -> bool:
        found = self.query(
            f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'"
            " AND clock_timestamp() - query_start > interval '0.2 s'",
            role="postgres",
        )
        return bool(found)


@pytest.fixture(scope="module", params=VERSIONS)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    options = {"shared_preload_libraries": "pg_stat_statements", "max_connections": "40"}
    with server(request.param, options) as found:
        found.query(
            "CREATE ROLE shopapp LOGIN",
            "CREATE ROLE ops LOGIN",
            "CREATE ROLE seer LOGIN",
            "GRANT pg_monitor TO seer",
            "CREATE DATABASE shop OWNER shopapp",
        )
        made = Shop(found)
        made.query(
            "CREATE SCHEMA stats",
            "CREATE EXTENSION pg_stat_statements SCHEMA stats",
            "GRANT USAGE ON SCHEMA stats TO PUBLIC",
            role="postgres",
        )
        made.query(
            "CREATE TABLE orders (id int PRIMARY KEY, note text)",
            "INSERT INTO orders SELECT n, 'note ' || n FROM generate_series(1, 2000) n",
            'CREATE TABLE "Customer Orders" (id int PRIMARY KEY)',
            "CREATE TABLE lines (id int, month int) PARTITION BY RANGE (month)",
            "CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (1) TO (2)",
            "INSERT INTO lines SELECT n, 1 FROM generate_series(1, 1000) n",
            "ANALYZE",
        )
        yield made


def test_every_check_says_something_to_each_login(shop: Shop) -> None:
    for role in ("postgres", "seer", "ops", "shopapp"):
        for check in OF_THE_SERVER:
            finding = check(shop.target(role))
            assert finding.status is Status.OK, (role, finding.name, finding.message)


def test_what_is_hidden_is_unknown_and_what_can_be_counted_is(shop: Shop) -> None:
    with shop.holding("LOCK TABLE orders"), shop.waiting("SELECT count(*) FROM orders"):
        seen = database.blocking(shop.target("seer"), 0.1)
        hidden = database.blocking(shop.target("ops"), 0.1)
        assert (seen.status, seen.value) == (Status.WARN, 1)
        assert (hidden.status, hidden.value) == (Status.UNKNOWN, 1)
        long = database.long_queries(shop.target("ops"))
        used = [database.connections(shop.target(role)) for role in ("ops", "seer")]
    for finding in (hidden, long):
        assert finding.status is Status.UNKNOWN
        assert "login ops may not see the sessions of other roles" in finding.message
        assert "as superuser: GRANT pg_monitor TO ops;" in finding.message
    assert used[0].value == used[1].value
    assert used[0].status is Status.OK  # counted, so the verdict stands
    assert database.long_queries(shop.target("seer")).status is Status.OK


def test_a_slow_statement_of_another_role_is_not_none(shop: Shop) -> None:
    shop.query(*2 * ["SELECT pg_sleep(0.15), count(*) FROM orders"])
    for role, status in (("seer", Status.WARN), ("ops", Status.UNKNOWN)):
        assert database.slow_statements(shop.target(role)).status is status
    shop.query("SELECT stats.pg_stat_statements_reset()", role="postgres")
    assert database.slow_statements(shop.target("ops")).status is Status.OK


def test_an_index_that_another_role_builds_is_not_called_invalid(shop: Shop) -> None:
    with (
        shop.holding("INSERT INTO orders VALUES (-1)") as old,
        shop.waiting("CREATE INDEX CONCURRENTLY orders_note ON orders (note)"),
    ):
        wait_for(lambda: bool(shop.query("SELECT 1 FROM pg_index WHERE NOT indisvalid")))
        assert database.invalid_indexes(shop.target("seer")).status is Status.OK
        finding = database.invalid_indexes(shop.target("ops"))
        assert finding.status is Status.UNKNOWN
        assert "reindex" not in finding.message
        with pytest.raises(BadAnswer, match=r"Session \d+ is building an index on orders;"):
            database.reindex(shop.target("postgres"), "orders", kind="table")
        old.rollback()
    wait_for(lambda: database.invalid_indexes(shop.target("ops")).status is Status.OK)
    shop.query("DROP INDEX orders_note")


def test_names_are_quoted_and_partitions_are_summed(shop: Shop) -> None:
    owner = shop.target("shopapp")
    plan = database.analyze(owner, "Customer Orders", vacuum=True)
    assert plan.command == 'VACUUM ANALYZE "Customer Orders";'
    assert 'public."Customer Orders"' in plan.summary
    plan = database.analyze(owner, "lines", vacuum=True)
    assert (plan.sample[0]["rows"], plan.bytes) == (1000, 40960)
    for name in ("lines", 'public."Customer Orders"', "Customer Orders"):
        for vacuum in (False, True):
            record, found = act(owner, database.analyze, name, vacuum=vacuum)
            assert record.verified, found
    record, found = act(owner, database.reindex, "Customer Orders", kind="table")
    assert record.verified, found
    plan = database.analyze(shop.target("ops"))
    assert plan.planned == 0
    assert "4 tables of other owners are skipped" in plan.warning


def test_the_healthy_indexes_beside_one_over_duplicates_are_rebuilt(shop: Shop) -> None:
    shop.query("CREATE TABLE payments (id int PRIMARY KEY, ref text)")
    shop.query("INSERT INTO payments SELECT n, 'r' || n % 9 FROM generate_series(1, 10) n")
    with pytest.raises(psycopg.errors.UniqueViolation):
        shop.query("CREATE UNIQUE INDEX CONCURRENTLY payments_ref ON payments (ref)")
    owner = shop.target("shopapp")
    query = "SELECT ref, count(*) FROM payments GROUP BY 1 HAVING count(*) > 1"
    assert query in database.invalid_indexes(owner).message
    for arguments in ({"name": "payments", "kind": "table"}, {"kind": "database"}, {}):
        record, (effect,) = act(owner, database.reindex, **arguments)
        assert record.state is ActionState.APPLIED
        assert record.applied == record.planned - 1
        assert "(ref)=(r1) is duplicated" in effect.message
        assert query in effect.message
        assert "run it again" not in effect.message
    assert shop.query(query) == [("r1", 2)]
    shop.query("DELETE FROM payments WHERE id = 10")
    assert act(owner, database.reindex)[0].verified
    assert database.invalid_indexes(owner).status is Status.OK
    shop.query("DROP TABLE payments")


def test_what_is_left_of_toast_is_seen_and_dropped_by_who_may(shop: Shop) -> None:
    shop.query(
        "CREATE TABLE docs (id int PRIMARY KEY, body text)",
        "INSERT INTO docs SELECT n, repeat(md5(n::text), 400) FROM generate_series(1, 50) n",
    )
    with (
        shop.holding("LOCK TABLE docs IN ROW EXCLUSIVE MODE"),
        pytest.raises(psycopg.errors.QueryCanceled),
    ):
        shop.query("SET statement_timeout = '1s'", "REINDEX TABLE CONCURRENTLY docs")
    found = database.invalid_indexes(shop.target("shopapp"))
    assert found.value == 2
    assert "docs_pkey_ccnew on docs, pg_toast.pg_toast_" in found.message
    record, (effect,) = act(shop.target("shopapp"), database.reindex, "docs", kind="table")
    assert not record.verified
    assert "as superuser: DROP INDEX pg_toast.pg_toast_" in effect.message
    record, found_all = act(shop.target("postgres"), database.reindex, "docs", kind="table")
    assert record.verified, found_all
    assert shop.query("SELECT 1 FROM pg_index WHERE NOT indisvalid") == []
    shop.query("DROP TABLE docs")


def test_a_login_that_is_read_only_by_default_is_named(shop: Shop) -> None:
    shop.query("ALTER ROLE shopapp SET default_transaction_read_only = on", role="postgres")
    try:
        record, (finding,) = act(shop.target("shopapp"), database.reindex, "orders", kind="table")
    finally:
        shop.query("ALTER ROLE shopapp RESET default_transaction_read_only", role="postgres")
    assert record.state is ActionState.FAILED
    assert "ALTER ROLE shopapp RESET default_transaction_read_only" in finding.message


def test_settings_of_a_role_do_not_change_what_is_measured(shop: Shop) -> None:
    settings = {
        "statement_timeout": "300",
        "DateStyle": "German",
        "IntervalStyle": "iso_8601",
        "default_transaction_isolation": "serializable",
        "search_path": "''",
        "bytea_output": "escape",
        "lock_timeout": "300",
    }
    for name, value in settings.items():
        shop.query(f"ALTER ROLE seer SET {name} = {value}", role="postgres")
    try:
        with database.connection(shop.target("seer")) as connection:
            connection.execute("SELECT pg_sleep(0.5)")
        for check in OF_THE_SERVER:
            finding: Finding = check(shop.target("seer"))
            assert finding.status is Status.OK, (finding.name, finding.message)
        assert slow_queries.pace(shop.target("seer"), 0.1).status is Status.OK
        assert act(shop.target("seer"), database.end_sessions, application="none")[0].planned == 0
    finally:
        shop.query("ALTER ROLE seer RESET ALL", role="postgres")


def test_statistics_that_cannot_be_read_are_said_with_the_fix(shop: Shop) -> None:
    ops = shop.target("ops")
    fixes = {
        "REVOKE USAGE ON SCHEMA stats FROM PUBLIC": "GRANT USAGE ON SCHEMA stats TO ops;",
        "DROP EXTENSION pg_stat_statements": "there: CREATE EXTENSION pg_stat_statements;",
    }
    for statement, fix in fixes.items():
        shop.query(statement, role="postgres")
        assert fix in database.slow_statements(ops).message
        assert fix in database.statements(ops).message
        with pytest.raises(BadAnswer) as error:
            slow_queries.pace(ops, 0.1)
        assert fix in str(error.value)
    shop.query(
        "CREATE EXTENSION pg_stat_statements SCHEMA stats",
        "GRANT USAGE ON SCHEMA stats TO PUBLIC",
        role="postgres",
    )
    assert database.statements(ops).status is Status.OK
