"""A backup is proven by restoring it, and no scratch database stays, whatever happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from opsnb.actions.action import KEY, Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, UsageError
from opsnb.model import ActionState, Status
from opsnb.systems import database
from opsnb.systems.database.recovery import rebuilding
from opsnb.systems.database.settings import Database
from tests.operate.database import act, databases_like, own_database, query, wait_for

ROOT = Path(database.__file__).parents[3]


@pytest.fixture
def own(demo: Target) -> Iterator[Target]:
    """A database of the test's own with two tables."""
    with own_database(demo) as target:
        query(target, "CREATE TABLE a AS SELECT generate_series(1, 500) AS n")
        query(target, "CREATE TABLE empty (n int)")
        yield target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dumps"


@pytest.fixture
def slow(own: Target, folder: Path) -> Target:
    """A database whose restoring takes a moment, and its backup."""
    query(own, "CREATE TABLE fat AS SELECT n, md5(n::text) AS t FROM generate_series(1, 400000) n")
    query(own, "CREATE INDEX ON fat (t)")
    back_up(own, folder)
    return own


def back_up(target: Target, folder: Path, **how: Any) -> Path:
    record, _ = act(target, database.backup, folder=str(folder), **how)
    return Path(record.terms["file"])


def name_of(target: Target) -> str:
    return str(conninfo_to_dict(Database.of(target).url)["dbname"])


def scratch(target: Target) -> list[str]:
    """Every database beside the live one."""
    return databases_like(target, f"{name_of(target)}_")


@pytest.mark.parametrize("kind", ["custom", "plain"])
def test_all_rows_came_back_and_nothing_stays(own: Target, folder: Path, kind: str) -> None:
    back_up(own, folder, format=kind)
    query(own, "DELETE FROM a")
    record, (effect,) = act(own, database.prove, folder=str(folder))
    assert (record.planned, record.applied, record.verified) == (1, 1, True)
    assert {row["table"]: (row["in_the_backup"], row["restored"]) for row in effect.rows} == {
        "public.a": (500, 500),
        "public.empty": (0, 0),
    }
    assert scratch(own) == []
    assert query(own, "SELECT count(*) FROM a") == [(0,)]


def test_a_plan_changes_nothing_and_without_a_backup_there_is_nothing_to_do(
    own: Target, folder: Path
) -> None:
    assert database.prove(own, folder=str(folder)).planned == 0
    path = back_up(own, folder)
    plan = database.prove(own, folder=str(folder))
    assert (plan.planned, scratch(own)) == (1, [])
    assert str(path) in plan.summary
    with pytest.raises(UsageError, match="There is no file"):
        database.prove(own, "nonesuch", folder=str(folder))


def test_a_backup_that_lacks_rows_is_found(
    own: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(own, folder)
    monkeypatch.setattr(rebuilding, "counts", lambda *_: {})
    record, found = act(own, database.prove, folder=str(folder))
    assert (record.state, record.verified) == (ActionState.FAILED, False)
    assert "differs from the backup" in found[0].message
    assert scratch(own) == []


def test_a_damaged_backup_is_found_and_leaves_nothing(own: Target, folder: Path) -> None:
    path = back_up(own, folder)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    record, found = act(own, database.prove, folder=str(folder))
    assert (record.state, found[0].status) == (ActionState.FAILED, Status.CRIT)
    assert "damaged" in found[0].message
    assert scratch(own) == []


def test_too_little_space_is_told_before_anything_is_done(
    own: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(own, folder)
    monkeypatch.setattr(rebuilding, "free_bytes", lambda *_: 1000)
    record, found = act(own, database.prove, folder=str(folder))
    assert record.state is ActionState.FAILED
    assert "make room" in found[0].message


@pytest.fixture
def small_space(demo: Target) -> Iterator[str]:
    """A tablespace of 28 MiB."""
    ((data,),) = query(demo, "SHOW data_directory")
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        Path(folder).chmod(0o755)
        place = Path(folder, "small")
        place.mkdir()
        options = f"size=28m,mode=700,uid={Path(data).stat().st_uid}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "opsnb-test", str(place)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("a small file system needs the right to mount")
        try:
            query(demo, f"CREATE TABLESPACE small LOCATION '{place}'")
            yield "small"
            query(demo, "DROP TABLESPACE small")
        finally:
            subprocess.run(["umount", place], check=True)


def test_a_disk_that_fills_up_meanwhile_is_told_and_nothing_stays(
    demo: Target, small_space: str, folder: Path
) -> None:
    with own_database(demo) as own:
        query(demo, f"ALTER DATABASE {name_of(own)} SET TABLESPACE {small_space}")
        query(own, "CREATE TABLE fat AS SELECT md5(n::text) FROM generate_series(1, 150000) n")
        back_up(own, folder)
        record, found = act(own, database.prove, folder=str(folder))
        assert record.state is ActionState.FAILED
        assert re.search(r"[Nn]o (disk )?space left", found[0].message)
        assert scratch(own) == []


def test_interrupted_it_leaves_nothing(slow: Target, folder: Path) -> None:
    work = database.prove(slow, folder=str(folder)).work(Permit(KEY))
    assert next(work) == 0
    next(work)  # pg_restore is under way
    assert len(scratch(slow)) == 1
    with pytest.raises(KeyboardInterrupt):
        work.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert scratch(slow) == []


def test_what_a_kill_left_is_dropped_by_the_next_run(slow: Target, folder: Path) -> None:
    script = (
        "import json, sys; from opsnb.systems import database;"
        "from opsnb.config.target import Target;"
        "from tests.operate.database import act;"
        "target = Target(name='demo', database=json.loads(sys.argv[1]));"
        "act(target, database.prove, folder=sys.argv[2])"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, Database.of(slow).model_dump_json(), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        marked = "SELECT 1 FROM pg_shdescription WHERE description = %s"
        wait_for(
            lambda: bool(query(slow, marked, f"opsnb: scratch database of {name_of(slow)}")), 30
        )
    finally:
        child.kill()
        child.wait()
    (left,) = scratch(slow)
    # Its session ends when the server notices.
    used = "SELECT 1 FROM pg_stat_activity WHERE datname = %s"
    wait_for(lambda: not query(slow, used, left), 30)
    plan = database.prove(slow, folder=str(folder))
    assert f"Drop {left}, left by an interrupted proof." in plan.summary
    assert plan.planned == 2
    record, _ = act(slow, database.prove, folder=str(folder))
    assert (record.applied, record.verified) == (2, True)
    assert scratch(slow) == []


def test_one_in_use_and_what_others_made_stay(own: Target, folder: Path) -> None:
    name = name_of(own)
    mine, busy = f"{name}_proof_20261101t020000z", f"{name}_proof_20261101t030000z"
    others = [f"{name}_restore_20261101t020000z", f"{name}_proof_of_concept"]
    for each in (mine, busy, *others):
        query(own, f"CREATE DATABASE {each}")
    for each in (mine, busy):
        query(own, f"COMMENT ON DATABASE {each} IS 'opsnb: scratch database of {name}'")
    others.append(f"{name}_proof_20261101t040000z")  # named like ours, without our mark
    query(own, f"CREATE DATABASE {others[-1]}")
    with psycopg.connect(make_conninfo(Database.of(own).url, dbname=busy)):
        plan = database.prove(own, folder=str(folder))
        assert f"{busy} belongs to another proof and is in use" in plan.summary
        assert f"{others[-1]} has a proof's name but lacks opsnb's mark" in plan.summary
        assert (plan.planned, act(own, database.prove, folder=str(folder))[0].verified) == (1, True)
        assert set(scratch(own)) == {busy, *others}
    act(own, database.prove, folder=str(folder))
    assert set(scratch(own)) == set(others)


def test_without_the_right_to_make_databases_it_is_told(own: Target, folder: Path) -> None:
    back_up(own, folder)
    query(own, "CREATE ROLE poor LOGIN PASSWORD 'secret'")
    try:
        url = make_conninfo(Database.of(own).url, user="poor", password="secret")
        with pytest.raises(BadAnswer, match="may not create databases"):
            database.prove(own.changed(database_url=url), folder=str(folder))
    finally:
        query(own, "DROP ROLE poor")


def test_the_size_of_the_database_is_measured(own: Target) -> None:
    found = database.size(own)
    ((size,),) = query(own, "SELECT pg_database_size(current_database())")
    assert found.rows[0]["database"] == name_of(own)
    assert found.rows[0]["size_bytes"] == pytest.approx(size, rel=0.05)
    assert found.rows[0]["free_bytes"] > 0
