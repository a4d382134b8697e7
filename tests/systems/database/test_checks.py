"""The database's checks and changes on a real server: names, locks, rights, interruptions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from opsnb.actions.action import KEY, Permit, Plan
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused, Unreachable, UsageError
from opsnb.model import ActionState, Status
from opsnb.systems import database
from opsnb.systems.database import commands, long_running, reindexable
from opsnb.systems.database.settings import Database
from tests.operate.database import (
    act,
    is_running,
    make_leftover,
    own_database,
    query,
    running,
    wait_for,
)

NASTY = 'a"; drop table b'


@pytest.fixture
def own(demo: Target) -> Iterator[Target]:
    """A database of the test's own, with two tables."""
    with own_database(demo) as target:
        query(target, "CREATE TABLE projects AS SELECT generate_series(1, 1000) AS id")
        query(target, "CREATE INDEX projects_id ON projects (id)")
        query(target, "CREATE TABLE b (n int)")
        yield target


@pytest.fixture
def stranger(own: Target) -> Iterator[Target]:
    """The same database, by a login that owns nothing."""
    query(own, "CREATE ROLE stranger LOGIN PASSWORD 'secret'")
    query(own, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger")
    url = make_conninfo(Database.of(own).url, user="stranger", password="secret")
    yield own.changed(database_url=url)
    query(own, "DROP OWNED BY stranger")
    query(own, "DROP ROLE stranger")


CHECKS = (
    database.ping,
    database.statements,
    database.pg_dump,
    database.slow_statements,
    database.cache_hits,
    database.unused_indexes,
    database.missing_indexes,
    database.table_sizes,
    database.bloat,
    database.vacuum_state,
    database.invalid_indexes,
    database.connections,
    database.blocking,
    database.long_queries,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_healthy_demo_is_well(demo: Target, check: Any) -> None:
    assert check(demo).status is Status.OK


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_login_without_rights_can_check(stranger: Target, check: Any) -> None:
    assert check(stranger).message


def test_checks_are_read_only(own: Target) -> None:
    with pytest.raises(BadAnswer, match="read-only"), database.connection(own) as connection:
        connection.execute("CREATE TABLE c (n int)")


def test_without_statistics_what_runs_is_shown_with_the_mend(own: Target) -> None:
    finding = database.slow_statements(own)
    assert finding.status is Status.UNKNOWN
    assert "there: CREATE EXTENSION pg_stat_statements;" in finding.message


def test_a_slow_statement_is_told_and_ours_are_not(own: Target) -> None:
    query(own, "CREATE SCHEMA stats")
    query(own, "CREATE EXTENSION pg_stat_statements SCHEMA stats")
    for _ in range(2):
        query(own, "SELECT pg_sleep(0.03), count(*) FROM projects")
    finding = database.slow_statements(own, 20)
    assert finding.status is Status.WARN
    assert "pg_sleep" in finding.rows[0]["statement"]
    assert finding.rows[0]["calls"] == 2
    assert not [row for row in finding.rows if "opsnb" in row["statement"]]


def test_missing_unused_and_invalid_indexes_are_found(own: Target) -> None:
    query(own, "CREATE TABLE big AS SELECT n, n AS m FROM generate_series(1, 20000) n")
    query(own, "CREATE INDEX big_m ON big (m)")
    query(own, "ANALYZE big")
    with psycopg.connect(Database.of(own).url, autocommit=True) as connection:
        for _ in range(100):
            connection.execute("SELECT count(*) FROM big WHERE n + 0 = 5")
    wait_for(lambda: database.missing_indexes(own).status is Status.WARN)
    assert database.missing_indexes(own).rows[0]["table"] == "big"
    assert "big_m" in {row["index"] for row in database.unused_indexes(own).rows}
    make_leftover(own)
    assert database.invalid_indexes(own).rows == [{"index": "drill_n_ccnew", "table": "drill"}]


def test_bloat_is_estimated(own: Target) -> None:
    query(
        own, "CREATE TABLE fat AS SELECT n, repeat('x', 1000) AS t FROM generate_series(1, 15000) n"
    )
    query(own, "ANALYZE fat")
    assert database.bloat(own).status is Status.OK
    query(own, "ALTER TABLE fat SET (autovacuum_enabled = off)")
    query(own, "DELETE FROM fat WHERE n % 10 <> 0")
    query(own, "ANALYZE fat")
    finding = database.bloat(own)
    assert finding.status is Status.WARN
    assert 80 <= finding.rows[0]["wasted_percent"] <= 95


def test_a_locked_table_is_left_out_rather_than_waited_for(own: Target) -> None:
    with psycopg.connect(Database.of(own).url) as holder:
        holder.execute("LOCK TABLE projects IN ACCESS EXCLUSIVE MODE")
        for check in CHECKS:
            assert check(own).seconds < own.time_limit_s
        sizes = database.table_sizes(own)
        assert {row["table"] for row in sizes.rows} == {"b"}
        assert "locked exclusively" in sizes.message


@pytest.mark.parametrize(
    ("action", "arguments", "said"),
    [
        (database.analyze, {"table": "project"}, "Did you mean 'projects'"),
        (database.reindex, {"name": "projects_di"}, "Did you mean 'projects_id'"),
        (database.reindex, {"name": "project", "kind": "table"}, "Did you mean 'projects'"),
        (database.reindex, {"name": "opsnb_dem", "kind": "database"}, "Did you mean 'opsnb_demo'"),
        (database.reindex, {"name": "opsnb_demo", "kind": "database"}, "a target of its own"),
        (database.reindex, {"name": "", "kind": "table"}, "Say which table"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest_name(
    own: Target, action: Any, arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        action(own, **arguments)


def test_names_are_quoted_and_may_have_a_schema(own: Target) -> None:
    table = sql.Identifier("Other.Schema", NASTY).as_string()
    query(own, 'CREATE SCHEMA "Other.Schema"')
    query(own, f"CREATE TABLE {table} (n int PRIMARY KEY)")
    query(own, 'CREATE TABLE "Other.Schema".b (n int)')
    for name in (NASTY, f"Other.Schema.{NASTY}", table):
        record, _ = act(own, database.analyze, name, vacuum=True)
        assert (record.applied, record.verified) == (1, True)
        record, _ = act(own, database.reindex, name, kind="table")
        assert (record.applied, record.verified) == (1, True)
    plan: Plan = database.analyze(own, "b")
    assert "public.b" in plan.summary
    query(own, "DROP TABLE public.b")
    query(own, "CREATE SCHEMA third")
    query(own, "CREATE TABLE third.b (n int)")
    with pytest.raises(UsageError, match=r'"Other\.Schema"\.b, third\.b'):
        database.analyze(own, "b")


def test_all_tables_are_analyzed_partitions_too(own: Target) -> None:
    query(own, "CREATE TABLE p (n int) PARTITION BY RANGE (n)")
    query(own, "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)")
    query(own, "CREATE INDEX p_n ON p (n)")
    record, (effect,) = act(own, database.analyze)
    assert (record.planned, record.applied, record.verified) == (4, 4, True)
    assert effect.status is Status.OK
    record, _ = act(own, database.reindex, "p_n")
    assert (record.planned, record.verified) == (1, True)


def test_what_one_may_not_do_is_told_in_one_sentence(stranger: Target) -> None:
    record, found = act(stranger, database.analyze, "projects")
    assert record.state is ActionState.FAILED
    assert "PostgreSQL refused: " in found[0].message
    assert database.analyze(stranger).planned == 0
    record, found = act(stranger, database.reindex, "projects_id")
    assert "may not rebuild public.projects_id: only the owner of projects may" in found[0].message


def test_a_lock_that_is_not_given_is_waited_for_no_longer_than_told(own: Target) -> None:
    with psycopg.connect(Database.of(own).url) as holder:
        holder.execute("LOCK TABLE projects")
        for action, name in ((database.analyze, "projects"), (database.reindex, "projects_id")):
            record, found = act(own, action, name, lock_wait_s=0.3)
            assert record.state is ActionState.FAILED
            assert "gave no lock in time" in found[0].message
    assert database.invalid_indexes(own).status is Status.OK


def test_a_reindex_that_fails_half_way_leaves_nothing_and_tells_how_far_it_is(
    own: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "_CHECK_EVERY_S", 0.1)
    monkeypatch.setattr(commands, "_REPORT_EVERY_S", 0.2)
    with psycopg.connect(Database.of(own).url) as old:
        # An older transaction that has read the table is waited for after the copy was begun.
        old.execute("INSERT INTO projects VALUES (0)")
        record, found = act(own, database.reindex, "projects_id", lock_wait_s=1.5)
    assert record.state is ActionState.FAILED
    assert "gave no lock in time" in found[0].message
    assert "REINDEX CONCURRENTLY projects: waiting for writers" in capsys.readouterr().out
    names = query(
        own,
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
        " WHERE indrelid = 'projects'::regclass",
    )
    left = [name for name, valid in names if not valid]
    # While the older transaction was there the copy could not be dropped; the next attempt does.
    record, _ = act(own, database.reindex, "projects_id")
    assert record.planned == 1 + len(left)
    assert record.verified
    assert database.invalid_indexes(own).status is Status.OK


def test_interrupted_is_cancelled_on_the_server(own: Target) -> None:
    with psycopg.connect(Database.of(own).url) as holder:
        holder.execute("LOCK TABLE projects")
        plan = database.reindex(own, "projects_id", lock_wait_s=60)
        work = plan.work(Permit(KEY))
        next(work)
        assert is_running(own, "opsnb")
        with pytest.raises(KeyboardInterrupt):
            work.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
        assert not is_running(own, "opsnb")


def test_leftovers_are_found_and_dropped(own: Target) -> None:
    make_leftover(own)
    plan = database.reindex(own, "drill_n")
    assert "Drop 1 index left by failed attempts" in plan.summary
    record, _ = act(own, database.reindex, "drill_n")
    assert (record.planned, record.applied, record.verified) == (2, 2, True)
    assert database.invalid_indexes(own).status is Status.OK


def test_no_room_is_refused(own: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be checked" not in database.reindex(own, "projects_id").summary
    monkeypatch.setattr(reindexable, "free_bytes", lambda *_: 10)
    with pytest.raises(Refused, match="make room"):
        database.reindex(own, "projects_id")
    monkeypatch.setattr(reindexable, "free_bytes", lambda *_: None)
    assert "cannot be checked" in database.reindex(own, "projects_id").summary


def test_an_exclusion_constraint_is_built_only_with_a_lock(own: Target) -> None:
    query(own, "CREATE TABLE e (r int4range, EXCLUDE USING gist (r WITH &&))")
    with pytest.raises(UsageError, match="concurrently=false"):
        database.reindex(own, "e_r_excl")
    assert database.reindex(own, "e", kind="table").planned == 0
    assert act(own, database.reindex, "e_r_excl", concurrently=False)[0].verified


def test_connections_are_counted_and_blockers_stand_above_those_who_wait(own: Target) -> None:
    with psycopg.connect(make_conninfo(Database.of(own).url, application_name="holder")) as holder:
        holder.execute("LOCK TABLE projects")
        with (
            running(own, "SELECT count(*) FROM projects", "first"),
            running(own, "SELECT count(*) FROM projects", "second"),
        ):
            wait_for(lambda: database.blocking(own, 0.1).value == 2)
            tree = database.blocking(own, 0.1)
            above, *below = (row["application"] for row in tree.rows)
            assert (above, sorted(below)) == ("holder", ["first", "second"])
            assert [row["session"].startswith("\u2003") for row in tree.rows] == [False, True, True]
            used = {row["application"]: row for row in database.connections(own).rows}
            assert used["holder"]["idle_in_transaction"] == 1
            assert used["first"]["active"] == 1


def test_a_long_query_is_cancelled_and_its_session_lives(own: Target) -> None:
    with running(own, "SELECT pg_sleep(60)"):
        record, _ = act(own, database.end_long_queries, 0.0001)
        assert (record.planned, record.applied, record.verified) == (1, 1, True)
        assert not is_running(own)
        assert query(own, "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'drill%'")


STUBBORN = """
DO $$ BEGIN LOOP
  BEGIN PERFORM pg_sleep(30); EXCEPTION WHEN query_canceled THEN NULL; END;
END LOOP; END $$"""


def test_what_does_not_heed_cancelling_is_terminated_only_when_told(
    own: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_running, "_CANCEL_S", 0.5)
    with running(own, STUBBORN):
        record, (effect,) = act(own, database.end_long_queries, 0.0001)
        assert (record.planned, record.applied, record.verified) == (1, 0, False)
        assert "terminate=true" in effect.message
        record, _ = act(own, database.end_long_queries, 0.0001, terminate=True)
        assert (record.applied, record.verified) == (1, True)


def test_ours_and_others_databases_are_spared(own: Target, demo: Target) -> None:
    with running(own, "SELECT pg_sleep(60)", "opsnb"):
        assert database.end_long_queries(own, 0.0001).planned == 0
    with running(own, "SELECT pg_sleep(60)"):
        planned = database.end_long_queries(demo, 0.0001).sample
        assert "pg_sleep(60)" not in " ".join(row["query"] for row in planned)


@pytest.mark.parametrize("stamp", ["backend_start", "query_start"])
def test_a_pid_that_is_used_again_is_never_hit(
    own: Target, monkeypatch: pytest.MonkeyPatch, stamp: str
) -> None:
    real = long_running._long

    def another(*args: Any) -> list[dict[str, Any]]:
        return [{**row, stamp: row[stamp] - timedelta(microseconds=1)} for row in real(*args)]

    with running(own, "SELECT pg_sleep(60)"):
        monkeypatch.setattr(long_running, "_long", another)
        record, _ = act(own, database.end_long_queries, 0.0001, terminate=True)
        assert record.planned == 1
        assert is_running(own)


def test_a_lost_server_is_told_in_one_sentence(own: Target) -> None:
    plan = database.reindex(own, "projects_id")
    with psycopg.connect(Database.of(own).url) as holder:
        holder.execute("LOCK TABLE projects")
        work = plan.work(Permit(KEY))
        next(work)
        query(
            own,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'opsnb' AND datname = current_database()",
        )
        with pytest.raises(Unreachable, match="ended the connection"):
            list(work)
