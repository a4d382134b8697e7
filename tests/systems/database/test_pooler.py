"""PostgreSQL through pgbouncer: nothing of opsnb stays in the service's sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from opsnb.config.target import Target
from opsnb.errors import Misconfigured, Refused
from opsnb.model import Status
from opsnb.systems import database
from opsnb.systems.database.integrity import checking, rehearse, rehearsing, violations
from opsnb.systems.database.settings import Integrity
from tests.operate.database import act
from tests.servers.pgbouncer import Pooler, pgbouncer
from tests.servers.postgres import PACKAGED, VERSIONS, Server, server
from tests.systems.database.test_checks import CHECKS

pytestmark = pytest.mark.skipif(not PACKAGED, reason="no programs for this machine")

SETTINGS = {"statement_timeout": "15s", "lock_timeout": "2s"}
REPAIR = Integrity(
    name="negative",
    sql="SELECT id FROM orders WHERE id < 0",
    repair="UPDATE orders SET id = 1000 - id WHERE id < 0",
)


@dataclass(frozen=True)
class Pooled:
    """A service's database, and the pooler through which it is asked."""

    server: Server
    pooler: Pooler

    def target(self, **keys: Any) -> Target:
        target = Target(name="shop").changed(
            database={"url": self.pooler.url("shopapp", "shop"), **keys}
        )
        return target.changed(integrity=(REPAIR,))

    def direct(self, database: str = "shop") -> str:
        return self.server.url("shopapp", database)

    def demand_nothing_left(self) -> None:
        """Fail when a session of the pool is not as a new one is."""
        with ExitStack() as stack:
            for _ in range(4):  # each in a transaction, so that each has a session of its own
                client = stack.enter_context(
                    psycopg.connect(self.pooler.url("shopapp", "shop"), prepare_threshold=None)
                )
                for name, value in SETTINGS.items():
                    assert client.execute(f"SHOW {name}".encode()).fetchone() == (value,)
                for name in ("default_transaction_read_only", "DateStyle", "application_name"):
                    shown = client.execute(f"SHOW {name}".encode()).fetchone()
                    assert shown in (("off",), ("ISO, MDY",), ("",))
                for view in ("pg_prepared_statements", "pg_cursors"):
                    left = client.execute(f"SELECT count(*) FROM {view}".encode()).fetchone()
                    assert left is not None
                    assert left[0] <= (view == "pg_cursors")


@pytest.fixture(scope="module", params=[VERSIONS[0], VERSIONS[-1]])
def pooled(request: pytest.FixtureRequest) -> Iterator[Pooled]:
    with server(request.param, {"shared_preload_libraries": "pg_stat_statements"}) as found:
        found.query("CREATE ROLE shopapp LOGIN", "GRANT pg_monitor TO shopapp")
        found.query("CREATE DATABASE shop OWNER shopapp", "CREATE DATABASE other OWNER shopapp")
        for name, value in SETTINGS.items():
            found.query(f"ALTER ROLE shopapp SET {name} = '{value}'")
        found.query("CREATE EXTENSION pg_stat_statements", database="shop")
        found.query("CREATE TABLE orders (id int PRIMARY KEY)", role="shopapp", database="shop")
        with pgbouncer(found, "shop") as pooler:
            yield Pooled(found, pooler)


def test_checks_leave_nothing(pooled: Pooled) -> None:
    target = pooled.target()
    for check in CHECKS:
        if check is not database.pg_dump:
            finding = check(target)
            assert finding.status is Status.OK, (finding.name, finding.message)
    assert "through a pooler" in database.ping(target).message
    assert database.plan(target, "SELECT * FROM orders", measured=True).rows
    pooled.demand_nothing_left()


def test_what_fits_into_a_transaction_is_done_and_leaves_nothing(pooled: Pooled) -> None:
    target = pooled.target()
    record, found = act(target, database.analyze)
    assert record.verified, found
    with psycopg.connect(pooled.server.url("shopapp", "shop", application_name="idler")):
        record, found = act(target, database.end_sessions, application="idler", idle_s=0)
        assert (record.applied, record.verified) == (1, True), found
    assert act(target, database.end_long_queries, 0.0001)[0].planned == 0
    pooled.server.query("INSERT INTO orders VALUES (-1)", role="shopapp", database="shop")
    with checking(target) as connected:
        assert violations(connected, REPAIR).count == 1
    with rehearsing(target) as connected:
        assert rehearse(connected, REPAIR).changed == 1
    pooled.demand_nothing_left()


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        (database.analyze, {"vacuum": True}),
        (database.reindex, {"name": "orders", "kind": "table"}),
        (database.create_index, {"table": "lines", "columns": "id"}),
    ],
)
def test_what_needs_a_session_goes_by_direct_url_or_is_refused(
    pooled: Pooled, action: Any, arguments: dict[str, Any]
) -> None:
    pooled.server.query(
        "DROP TABLE IF EXISTS lines", "CREATE TABLE lines (id int)", role="shopapp", database="shop"
    )
    with pytest.raises(Refused, match=r"through a pooler.*Set direct_url in"):
        act(pooled.target(), action, **arguments)
    record, found = act(pooled.target(direct_url=pooled.direct()), action, **arguments)
    assert record.verified, found
    pooled.demand_nothing_left()


def test_a_direct_url_that_is_wrong_is_said(pooled: Pooled) -> None:
    for url, said in (
        (pooled.direct("other"), "leads to another server or database"),
        (pooled.pooler.url("shopapp", "shop"), "shares sessions between transactions"),
    ):
        with pytest.raises(Misconfigured, match=said):
            database.reindex(pooled.target(direct_url=url), "orders", kind="table")


def test_a_pooler_of_whole_sessions_serves_when_it_is_named(pooled: Pooled) -> None:
    with pgbouncer(pooled.server, "shop", pool_mode="session") as pooler:
        url = pooler.url("shopapp", "shop")
        target = pooled.target(url=url)
        with pytest.raises(Refused, match="through a pooler"):
            database.reindex(target, "orders", kind="table")
        record, found = act(
            pooled.target(url=url, direct_url=url), database.reindex, "orders", kind="table"
        )
        assert record.verified, found


def test_the_name_that_a_pooler_has_for_a_database_is_not_taken_for_its_own(
    pooled: Pooled,
) -> None:
    with pgbouncer(pooled.server, "shop=other") as pooler:
        target = pooled.target(url=pooler.url("shopapp", "shop"), direct_url=pooled.direct("other"))
        plan = database.reindex(target, "other", kind="database")
        assert plan.command == "REINDEX DATABASE other;"


def test_a_pooler_that_takes_its_servers_in_turn_keeps_no_session(pooled: Pooled) -> None:
    with pgbouncer(pooled.server, "shop", server_round_robin="1") as pooler, ExitStack() as stack:
        url = pooler.url("shopapp", "shop")
        for _ in range(4):  # so many servers are idle from here on
            client = stack.enter_context(psycopg.connect(url, prepare_threshold=None))
            client.execute("SELECT 1")
        stack.close()
        with pytest.raises(Misconfigured, match="shares sessions between transactions"):
            database.reindex(pooled.target(url=url, direct_url=url), "orders", kind="table")


def test_a_pooler_of_single_statements_is_no_outage(pooled: Pooled) -> None:
    with pgbouncer(pooled.server, "shop", pool_mode="statement") as pooler:
        target = pooled.target(url=pooler.url("shopapp", "shop"))
        with pytest.raises(Misconfigured, match="a pooler in statement mode"):
            database.ping(target)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"role": "nobody"}, "refuses the login"),
        ({"database": "none"}, "refuses the login"),
        ({"options": "-c geqo=off"}, "unsupported startup parameter: options"),
    ],
)
def test_a_login_that_the_pooler_or_the_server_refuses_is_no_outage(
    pooled: Pooled, change: dict[str, str], said: str
) -> None:
    given = {"role": "shopapp", "database": "shop", **change}
    for place in (pooled.pooler, pooled.server):
        if place is pooled.server and "options" in change:
            continue
        target = Target(name="shop").changed(database_url=place.url(**given))
        with pytest.raises(Misconfigured, match=said):
            database.ping(target)
