"""Backups and restores by logins that are no superusers, and past poolers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from opsnb.config.target import Target
from opsnb.demo.postgres import postgres_program
from opsnb.errors import Misconfigured, OpsnbError, Refused
from opsnb.model import ActionState, Status
from opsnb.systems import database
from opsnb.systems.database.settings import Database
from tests.operate.database import act
from tests.servers import postgres
from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import Server

PROGRAMS = postgres_program("pg_dump").parent
OPTIONS = {"shared_preload_libraries": "pg_stat_statements"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server on which shopapp may make databases."""
    with postgres.server(postgres.DEBIAN or PROGRAMS, OPTIONS) as found:
        found.query("CREATE ROLE shopapp LOGIN CREATEDB", "CREATE ROLE reader LOGIN")
        yield found


@pytest.fixture
def shop(server: Server) -> Iterator[Target]:
    """Shopapp's database with 100 rows."""
    server.query("CREATE DATABASE shop OWNER shopapp")
    server.query(
        "CREATE TABLE items (id int PRIMARY KEY)",
        "INSERT INTO items SELECT generate_series(1, 100)",
        role="shopapp",
        database="shop",
    )
    yield of(server)
    for name in databases(server):
        server.query(f'DROP DATABASE "{name}" WITH (FORCE)')


def of(server: Server, role: str = "shopapp") -> Target:
    return Target(name="t").changed(database_url=server.url(role, "shop"), pg_bin=str(PROGRAMS))


def databases(server: Server) -> list[str]:
    rows = server.query("SELECT datname FROM pg_database WHERE datname LIKE 'shop%' ORDER BY 1")
    return [name for (name,) in rows]


def dumped(server: Server, path: Path, *options: str) -> Path:
    url = server.url(database="shop")
    subprocess.run([PROGRAMS / "pg_dump", *options, "-f", path, url], check=True)
    return path


def test_an_owner_restores_swaps_and_proves(server: Server, shop: Target, tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert act(shop, database.backup, folder=folder)[0].verified
    record, (proven,) = act(shop, database.prove, folder=folder)
    assert (record.verified, proven.status) == (True, Status.OK)
    assert "all of its 100 rows in 1 table came back" in proven.message
    record, (restored,) = act(shop, database.restore, folder=folder)
    assert (record.verified, record.warning) == (True, "")
    assert "holds the backup's 100 rows in 1 table" in restored.message
    record, (swapped,) = act(shop, database.restore, folder=folder, swap=True)
    assert (record.verified, swapped.status) == (True, Status.OK)


def test_what_an_owner_may_not_make_is_left_out_and_named(
    server: Server, shop: Target, tmp_path: Path
) -> None:
    server.query(
        "CREATE SCHEMA ext",
        "CREATE EXTENSION pg_stat_statements SCHEMA ext",
        "CREATE VIEW busiest AS SELECT query FROM ext.pg_stat_statements",
        "CREATE TABLE of_another AS SELECT 1 AS n",
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION e()",
        database="shop",
    )
    path = dumped(server, tmp_path / "shop.dump", "-Fc")
    names = ("extension pg_stat_statements", "schema ext", "publication everything", "trigger seen")
    for action in (database.restore, database.prove):
        record, (restored, lacking) = act(shop, action, str(path))
        assert record.verified, [restored.message, lacking.message]
        assert restored.status is Status.OK
        assert "101 rows in 2 tables" in restored.message
        assert lacking.status is Status.WARN
        for name in names:
            assert name in lacking.message
            assert name in record.warning
        assert "table public.of_another of postgres" in " ".join([lacking.message, record.warning])
    record, found = act(shop, database.restore, str(path), swap=True)
    assert (record.state, record.applied) == (ActionState.FAILED, 0)
    for name in (*names, "superuser such as postgres"):
        assert name in found[0].message
    assert len(databases(server)) == 2
    # A superuser restores all of it, the event trigger last.
    assert act(of(server, "postgres"), database.restore, str(path), swap=True)[0].verified
    query = "SELECT evtname FROM pg_event_trigger"
    assert server.query(query, database="shop") == [("seen",)]


def test_a_swap_that_failed_is_said_by_the_oid(
    server: Server, shop: Target, tmp_path: Path
) -> None:
    path = dumped(server, tmp_path / "shop.sql")
    text = path.read_text()
    end = "-- PostgreSQL database dump complete"
    path.write_text(text.replace(end, f"SELECT no_such();\n{end}"))
    record, found = act(shop, database.restore, str(path), swap=True)
    assert (record.state, record.verified) == (ActionState.FAILED, False)
    assert [each.status for each in found] == [Status.CRIT, Status.CRIT]
    assert "function no_such() does not exist" in found[0].message
    assert found[1].message == (
        f"shop is still the same database: nothing was swapped. The action failed: {record.error}"
    )
    assert databases(server) == ["shop"]


@pytest.mark.parametrize("known", [("shop",), ()])
def test_past_a_pooler_or_not_at_all(
    server: Server, shop: Target, tmp_path: Path, known: tuple[str, ...]
) -> None:
    folder = str(tmp_path)
    with pgbouncer(server, *known) as pooler:
        pooled = shop.changed(database_url=pooler.url("shopapp", "shop"))
        for action in (database.backup, database.restore, database.prove):
            with pytest.raises((Misconfigured, Refused), match=r"through a pooler.*direct_url"):
                action(pooled, folder=folder)
        direct = pooled.changed(
            database={**Database.of(pooled).model_dump(), "direct_url": Database.of(shop).url}
        )
        assert act(direct, database.backup, folder=folder)[0].verified
        assert act(direct, database.prove, folder=folder)[0].verified
        assert databases(server) == ["shop"]
        assert act(direct, database.restore, folder=folder, swap=True)[0].verified
        elsewhere = direct.changed(
            database={**Database.of(pooled).model_dump(), "direct_url": server.url("shopapp")}
        )
        with pytest.raises(OpsnbError, match="direct_url"):
            database.prove(elsewhere, folder=folder)


@contextmanager
def a_tablespace(server: Server) -> Iterator[str]:
    place = server.folder / "fast"
    place.mkdir()
    if postgres.ACCOUNT:
        shutil.chown(place, postgres.ACCOUNT)
    server.query(f"CREATE TABLESPACE fast LOCATION '{place}'")
    yield "fast"
    for name in databases(server):
        server.query(f'DROP DATABASE "{name}" WITH (FORCE)')
    server.query("DROP TABLESPACE fast")


def test_the_right_to_a_tablespace_is_asked_for_beforehand(
    server: Server, shop: Target, tmp_path: Path
) -> None:
    path = dumped(server, tmp_path / "shop.dump", "-Fc")
    with a_tablespace(server) as name:
        server.query(f"ALTER DATABASE shop SET TABLESPACE {name}")
        record, found = act(shop, database.restore, str(path))
        assert record.state is ActionState.FAILED
        assert f"GRANT CREATE ON TABLESPACE {name} TO shopapp" in found[0].message
        server.query(f"GRANT CREATE ON TABLESPACE {name} TO shopapp")
        assert act(shop, database.restore, str(path))[0].verified


def test_a_swap_carries_over_what_no_dump_has(server: Server, shop: Target, tmp_path: Path) -> None:
    server.query(
        "ALTER DATABASE shop CONNECTION LIMIT 17",
        "COMMENT ON DATABASE shop IS 'the shop''s'",
        "ALTER DATABASE shop SET default_transaction_read_only = off",
        "ALTER DATABASE shop SET statement_timeout = '9s'",
        "ALTER ROLE reader IN DATABASE shop SET work_mem = '5MB'",
        "GRANT CONNECT ON DATABASE shop TO reader",
    )
    facts = (
        "SELECT datconnlimit, shobj_description(d.oid, 'pg_database'), "
        " ARRAY(SELECT unnest(datacl)::text ORDER BY 1),"
        " pg_get_userbyid(datdba), (SELECT array_agg(s::text ORDER BY 1) FROM (SELECT"
        " setrole, setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid) s)"
        " FROM pg_database d WHERE datname = 'shop'"
    )
    before = server.query(facts)
    path = dumped(server, tmp_path / "shop.dump", "-Fc")
    record, found = act(of(server, "postgres"), database.restore, str(path), swap=True)
    assert record.verified, [each.message for each in found]
    assert server.query(facts) == before


def test_a_session_that_cannot_be_ended_is_named_before(
    server: Server, shop: Target, tmp_path: Path
) -> None:
    path = dumped(server, tmp_path / "shop.dump", "-Fc")
    with psycopg.connect(server.url(database="shop"), application_name="psql"):
        record, found = act(shop, database.restore, str(path), swap=True)
        assert record.state is ActionState.FAILED
        assert "may not end the sessions of 1 session of postgres" in found[0].message
    assert databases(server) == ["shop"]


@pytest.mark.parametrize(
    "options",
    [
        ("--load-via-partition-root",),
        ("--inserts", "--rows-per-insert=7", "--on-conflict-do-nothing"),
        ("--clean",),
        ("-Ft",),
        ("-Fd",),
    ],
)
def test_partitions_and_large_objects_are_counted(
    server: Server, shop: Target, tmp_path: Path, options: tuple[str, ...]
) -> None:
    server.query(
        "CREATE TABLE days (n int) PARTITION BY RANGE (n)",
        "CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE days_2 PARTITION OF days DEFAULT",
        "INSERT INTO days SELECT generate_series(1, 50)",
        "SELECT lo_from_bytea(0, 'a'), lo_from_bytea(0, 'b')",
        role="shopapp",
        database="shop",
    )
    path = dumped(server, tmp_path / "shop", *options)
    record, (restored,) = act(shop, database.restore, str(path))
    assert record.verified
    assert "150 rows in " in restored.message
    assert "and 2 large objects" in restored.message


def test_forced_policies_hide_no_row(server: Server, shop: Target, tmp_path: Path) -> None:
    server.query(
        "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE items FORCE ROW LEVEL SECURITY",
        "CREATE POLICY few ON items USING (id < 5)",
        database="shop",
    )
    path = dumped(server, tmp_path / "shop.dump", "-Fc")
    for action in (database.restore, database.prove):
        record, (found,) = act(shop, action, str(path))
        assert record.verified, found.message
        assert "100 rows in 1 table" in found.message
    (name,) = [name for name in databases(server) if "restore" in name]
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'items'"
    assert server.query(forced, database=name) == [(True,)]
    _, effects = act(shop, database.backup, folder=str(tmp_path))
    assert "BYPASSRLS" in effects[0].message


def test_without_rows_nothing_is_proven(server: Server, shop: Target, tmp_path: Path) -> None:
    server.query("DELETE FROM items", database="shop")
    path = dumped(server, tmp_path / "shop.dump", "-Fc")
    for action in (database.restore, database.prove):
        record, (found,) = act(shop, action, str(path))
        assert (record.verified, found.status) == (False, Status.UNKNOWN)
        assert "no rows" in found.message
