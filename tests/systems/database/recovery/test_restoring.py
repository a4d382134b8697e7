"""Backups and restores on a real server: whole or not at all, whatever goes wrong."""

from __future__ import annotations

import gzip
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from opsnb.actions.action import KEY, Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused, UsageError
from opsnb.model import ActionState, Status
from opsnb.systems import database
from opsnb.systems.api.settings import Api
from opsnb.systems.database.dumps.names import name_for
from opsnb.systems.database.recovery import dumping, rebuilding
from opsnb.systems.database.settings import Database
from tests.operate.database import act, databases_like, own_database, query, wait_for


@pytest.fixture
def own(demo: Target) -> Iterator[Target]:
    """A database of the test's own, of a name that needs quoting, with a table of such a name."""
    with own_database(demo, f"own=\"{time.time_ns()}' x") as target:
        query(target, 'CREATE TABLE "a""; drop table b" (n int, t text)')
        query(
            target,
            'INSERT INTO "a""; drop table b" SELECT n, \'x\ny\' FROM generate_series(1, 500) n',
        )
        query(target, "CREATE TABLE b AS SELECT generate_series(1, 10) AS n")
        query(target, "CREATE TABLE empty (n int)")
        yield target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dumps"


def back_up(target: Target, folder: Path, **how: Any) -> Path:
    record, (effect,) = act(target, database.backup, folder=str(folder), **how)
    assert (record.applied, record.verified) == (1, True)
    return Path(next(row["value"] for row in effect.rows if row["fact"] == "file"))


@pytest.mark.parametrize("kind", ["custom", "plain"])
def test_a_backup_is_whole_private_and_can_be_proven(own: Target, folder: Path, kind: str) -> None:
    path = back_up(own, folder, format=kind)
    assert sorted(folder.iterdir()) == [path, path.with_name(path.name + ".sha256")]
    assert path.stat().st_mode & 0o077 == 0
    subprocess.run(["sha256sum", "-c", f"{path.name}.sha256"], cwd=folder, check=True)
    assert database.backups(own, str(folder))[0]["file"] == str(path)


def test_only_what_it_named_itself_and_of_its_kind_is_removed(own: Target, folder: Path) -> None:
    folder.mkdir()
    name = conninfo_to_dict(Database.of(own).url)["dbname"]
    old = [
        folder
        / name_for(own.name, str(name), what, "custom", datetime.now(UTC) - timedelta(days=n))
        for what in ("full", "schema")
        for n in range(1, 4)
    ]
    alien = [folder / "backup_20250101_000000.sql", folder / f"other-{old[0].name}", folder / "x"]
    for path in [*old, *alien]:
        path.write_text("precious")
    record, _ = act(own, database.backup, folder=str(folder), keep=2)
    assert "Remove 2 older ones" in record.summary
    left = set(folder.iterdir())
    assert {*old[3:], *alien, old[0]} <= left
    assert not {*old[1:3]} & left
    act(own, database.backup, folder=str(folder), keep=0)
    assert old[0].exists()


def test_the_password_is_in_no_argument(own: Target, folder: Path, tmp_path: Path) -> None:
    real = database.Program(own, "pg_dump").path
    fake = tmp_path / "bin" / "pg_dump"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nexec {real} "$@"\n')
    fake.chmod(0o755)
    for name in ("pg_restore", "psql"):
        (fake.parent / name).symlink_to(database.Program(own, name).path)
    back_up(own.changed(pg_bin=str(fake.parent)), folder)
    password = str(conninfo_to_dict(Database.of(own).url)["password"])
    said = (tmp_path / "argv").read_text()
    assert "--format=custom" in said
    assert password not in said
    assert "postgresql://" not in said


def test_a_dump_program_that_is_missing_or_too_old_is_refused(own: Target, folder: Path) -> None:
    with pytest.raises(Refused, match="pg_bin"):
        database.backup(own.changed(pg_bin="/nowhere"), folder=str(folder))
    old = folder.parent / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.1'\n")
    old.chmod(0o755)
    with pytest.raises(Refused, match=r"pg_dump 12 is older than the server .* pg_bin"):
        database.backup(own.changed(pg_bin=str(old.parent)), folder=str(folder))
    assert not folder.exists()


def test_too_little_space_is_refused(
    own: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(Refused, match="make room"):
        database.backup(own, folder=str(folder))
    assert database.backup(own, "schema", folder=str(folder)).planned == 1


def test_a_full_disk_is_told_and_leaves_nothing(
    own: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("a small file system needs the right to mount")
    try:
        query(own, "CREATE TABLE fat AS SELECT md5(n::text) FROM generate_series(1, 20000) n")
        monkeypatch.setattr(dumping, "_demand_room", lambda *_: None)
        record, found = act(own, database.backup, folder=str(folder))
        assert record.state is ActionState.FAILED
        assert "no space left" in found[0].message
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_lock_and_a_lost_server_are_told_and_leave_nothing(own: Target, folder: Path) -> None:
    with psycopg.connect(Database.of(own).url) as holder:
        holder.execute("LOCK TABLE b")
        record, found = act(own, database.backup, folder=str(folder), lock_wait_s=0.5)
        assert "got no lock in time" in found[0].message
        plan = database.backup(own, folder=str(folder), lock_wait_s=60)
        work = plan.work(Permit(KEY))
        next(work)
        ours = "FROM pg_stat_activity WHERE application_name = 'opsnb' AND wait_event_type = 'Lock'"
        wait_for(lambda: bool(query(own, f"SELECT 1 {ours}")))
        query(own, f"SELECT pg_terminate_backend(pid) {ours}")
        with pytest.raises(BadAnswer, match="terminating connection"):
            list(work)
    assert record.state is ActionState.FAILED
    assert list(folder.iterdir()) == []


def test_interrupted_it_ends_on_the_server_and_leaves_nothing(own: Target, folder: Path) -> None:
    with psycopg.connect(Database.of(own).url) as holder:
        holder.execute("LOCK TABLE b")
        work = database.backup(own, folder=str(folder), lock_wait_s=60).work(Permit(KEY))
        next(work)
        ours = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'opsnb' AND datname = %s"
        name = conninfo_to_dict(Database.of(own).url)["dbname"]
        wait_for(lambda: bool(query(own, ours, name)))
        with pytest.raises(KeyboardInterrupt):
            work.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
        wait_for(lambda: not query(own, ours, name))
    assert list(folder.iterdir()) == []


def test_stale_halves_are_removed(own: Target, folder: Path) -> None:
    folder.mkdir()
    stale, fresh = folder / ".demo-x.dump.part", folder / ".demo-y.dump.part"
    for path in (stale, fresh):
        path.touch()
    os.utime(stale, (0, 0))
    back_up(own, folder)
    assert not stale.exists()
    assert fresh.exists()


def base(target: Target) -> str:
    return str(conninfo_to_dict(Database.of(target).url)["dbname"])


@pytest.mark.parametrize("kind", ["custom", "plain"])
def test_restored_aside_and_compared(own: Target, folder: Path, kind: str) -> None:
    back_up(own, folder, format=kind)
    query(own, "DELETE FROM b")
    record, (effect,) = act(own, database.restore, folder=str(folder))
    assert (record.applied, record.verified) == (1, True)
    rows = {row["table"]: row for row in effect.rows}
    assert rows['public.a"; drop table b']["restored"] == 500
    assert (rows["public.b"]["in_the_backup"], rows["public.b"]["live_now"]) == (10, 0)
    assert len(databases_like(own, f"{base(own)}_restore_")) == 1
    assert query(own, "SELECT count(*) FROM b") == [(0,)]


def test_swapped_in_the_old_one_is_kept_with_settings_and_grants(own: Target, folder: Path) -> None:
    name = '"' + base(own).replace('"', '""') + '"'
    query(own, f'ALTER DATABASE {name} SET search_path = public, "Some Where"')
    query(own, f"ALTER DATABASE {name} SET work_mem = '5MB'")
    query(own, f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    facts = (
        "SELECT datacl::text, datcollate, (SELECT setconfig FROM pg_db_role_setting"
        " WHERE setdatabase = d.oid) FROM pg_database d WHERE datname = current_database()"
    )
    before = query(own, facts)
    path = back_up(own, folder)
    query(own, "DELETE FROM b")
    with psycopg.connect(Database.of(own).url) as user:
        user.execute("SELECT 1")
        record, (effect,) = act(own, database.restore, path.name, swap=True, folder=str(folder))
        with pytest.raises(psycopg.OperationalError):
            user.execute("SELECT 1")
    assert (record.applied, record.verified) == (1, True)
    assert query(own, "SELECT count(*) FROM b") == [(10,)]
    assert query(own, facts) == before
    (kept,) = databases_like(own, f"{base(own)}_before_")
    url = make_conninfo(Database.of(own).url, dbname=kept)
    assert query(own.changed(database_url=url), "SELECT count(*) FROM b") == [(0,)]
    assert kept in effect.message
    assert databases_like(own, f"{base(own)}_restore_") == []


def test_the_service_works_on_after_a_swap(demo: Target, folder: Path) -> None:
    back_up(demo, folder)
    record, (effect,) = act(demo, database.restore, folder=str(folder), swap=True)
    assert record.verified, effect.message
    try:
        wait_for(lambda: httpx.get(f"{Api.of(demo).url}/api/projects/1").status_code == 200)
        wait_for(lambda: httpx.get(f"{Api.of(demo).url}/health").json()["status"] == "ok")
    finally:
        for left in databases_like(demo, f"{base(demo)}_before_"):
            query(demo, f"DROP DATABASE {left} WITH (FORCE)")


def damaged(path: Path, how: str) -> Path:
    """Return a damaged copy of a backup, without its checksum."""
    data = path.read_bytes()
    copy = path.with_name(f"{how}{''.join(path.suffixes)}")
    if how == "cut":
        data = data[: len(data) * 2 // 3]
    elif how == "flipped":
        middle = len(data) // 2
        data = (
            data[:middle]
            + bytes(byte ^ 0xFF for byte in data[middle : middle + 40])
            + data[middle + 40 :]
        )
    elif how == "alien":
        data = b"\x7fELF" + data
    elif how == "unfinished":
        text = gzip.decompress(data)
        data = gzip.compress(text[: len(text) // 2])
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("custom", "cut"),
        ("custom", "flipped"),
        ("custom", "alien"),
        ("plain", "cut"),
        ("plain", "flipped"),
        ("plain", "unfinished"),
    ],
)
def test_a_damaged_backup_is_told_and_leaves_nothing(
    own: Target, folder: Path, kind: str, how: str
) -> None:
    path = damaged(back_up(own, folder, format=kind), how)
    record, found = act(own, database.restore, str(path), swap=True)
    assert record.state is ActionState.FAILED
    assert found[0].status is Status.CRIT
    assert str(path) in found[0].message
    assert "Traceback" not in found[0].message
    assert databases_like(own, base(own)) == [base(own)]


def test_a_backup_that_does_not_match_its_checksum_is_not_restored(
    own: Target, folder: Path
) -> None:
    path = back_up(own, folder, format="plain")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"-- more\n"))
    _, found = act(own, database.restore, str(path))
    assert "does not match" in found[0].message
    assert databases_like(own, base(own)) == [base(own)]


def test_what_cannot_be_restored_leaves_nothing(own: Target, folder: Path) -> None:
    path = back_up(own, folder, format="plain")
    text = gzip.decompress(path.read_bytes()).replace(b"n integer", b"n integre", 1)
    broken = folder / "broken.sql.gz"
    broken.write_bytes(gzip.compress(text))
    record, found = act(own, database.restore, str(broken), swap=True)
    assert record.state is ActionState.FAILED
    assert "integre" in found[0].message
    assert databases_like(own, base(own)) == [base(own)]


def test_a_restore_that_lacks_rows_is_not_swapped_in(
    own: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = back_up(own, folder)
    monkeypatch.setattr(rebuilding, "counts", lambda *_: {})
    _, found = act(own, database.restore, str(path), swap=True)
    assert "differs from the backup" in found[0].message
    assert databases_like(own, base(own)) == [base(own)]


def test_a_schema_backup_is_not_swapped_in(own: Target, folder: Path) -> None:
    record, _ = act(own, database.backup, "schema", folder=str(folder))
    path = Path(record.sample[0]["file"])
    assert act(own, database.restore, str(path))[0].verified
    record, found = act(own, database.restore, str(path), swap=True)
    assert "would empty" in found[0].message


def test_what_is_not_there_is_refused_or_told(own: Target, folder: Path) -> None:
    assert database.restore(own, folder=str(folder)).planned == 0
    path = back_up(own, folder)
    with pytest.raises(UsageError, match=f"Did you mean '{path.name}'"):
        database.restore(own, path.name[:-2], folder=str(folder))


def test_without_the_right_to_make_databases_it_is_told(own: Target, folder: Path) -> None:
    path = back_up(own, folder)
    query(own, "CREATE ROLE poor LOGIN PASSWORD 'secret'")
    try:
        url = make_conninfo(Database.of(own).url, user="poor", password="secret")
        poor = own.changed(database_url=url)
        _, found = act(poor, database.restore, str(path))
        assert "may not create databases" in found[0].message
        _, found = act(poor, database.backup, folder=str(folder))
        assert "permission denied" in found[0].message
        assert sorted(folder.iterdir()) == [path, path.with_name(path.name + ".sha256")]
    finally:
        query(own, "DROP ROLE poor")
