"""Debian's older PostgreSQL, and a replica that only reads."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb.config.target import Target
from opsnb.demo import processes, programs
from opsnb.demo.home import Home, Settings, free_port
from opsnb.demo.postgres import Postgres, postgres_program
from opsnb.model import ActionState, Status
from opsnb.systems import database
from opsnb.systems.database.settings import Database
from tests.operate.database import act, databases_like, own_database, query
from tests.systems.database.test_checks import CHECKS

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def started(root: Path) -> Postgres:
    """Start a server of its own below `root`."""
    home = Home(root)
    home.create()
    server = Postgres(home, Settings(postgres_port=free_port()))
    server.start()
    return server


def target_of(server: Postgres, name: str) -> Target:
    return Target(name="versions").changed(
        database_url=server.settings.postgres_url(name),
        pg_bin=str(postgres_program("pg_dump").parent),
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own account reaches."""
    with tempfile.TemporaryDirectory(prefix="opsnb-") as made:
        yield Path(made)


@pytest.fixture
def debian(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A database on Debian's PostgreSQL."""
    if not DEBIAN:
        reason = "postgresql of Debian is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    monkeypatch.setattr(programs, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", f"{DEBIAN[-1]}{os.pathsep}{os.environ['PATH']}")
    server = started(folder / "debian")
    try:
        server.make_database()
        yield target_of(server, "opsnb_demo")
    finally:
        server.stop()


def test_all_of_it_works_on_debian_s_postgresql(debian: Target, folder: Path) -> None:
    query(
        debian,
        "CREATE TABLE projects AS SELECT n, repeat('x', 900) t FROM generate_series(1, 15000) n",
    )
    query(debian, "CREATE INDEX projects_n ON projects (n)")
    query(debian, "ANALYZE projects")
    found = {check.name: check(debian) for check in CHECKS}
    assert {name: each.status for name, each in found.items() if each.status != "ok"} == {}
    assert found["database.bloat"].rows[0]["table"] == "projects"
    for action, arguments in (
        (database.analyze, {"table": "projects", "vacuum": True}),
        (database.analyze, {}),
        (database.reindex, {"name": "projects_n"}),
        (database.reindex, {"kind": "database", "concurrently": False}),
        (database.end_long_queries, {}),
        (database.backup, {"folder": str(folder / "dumps")}),
        (database.backup, {"folder": str(folder / "dumps"), "format": "plain"}),
        (database.restore, {"folder": str(folder / "dumps")}),
        (database.restore, {"folder": str(folder / "dumps"), "swap": True}),
    ):
        record, effects = act(debian, action, **arguments)
        told = [effect.message for effect in effects]
        verified = True if record.planned else None  # where nothing was to do, nothing is verified
        assert (record.state, record.verified) == (ActionState.APPLIED, verified), told
    assert len(databases_like(debian, "opsnb_demo_")) == 2


def test_a_newer_dump_is_refused_by_an_older_program(
    demo: Target, debian: Target, folder: Path
) -> None:
    if Database.of(demo).programs == Database.of(debian).programs:
        pytest.skip("both are of the same version")
    with own_database(demo) as own:
        query(own, "CREATE TABLE b AS SELECT 1 AS n")
        record, _ = act(own, database.backup, folder=str(folder))
        path = record.sample[0]["file"]
    record, found = act(debian, database.restore, path)
    assert record.state is ActionState.FAILED
    assert "unsupported version" in found[0].message


@pytest.fixture
def replica(demo: Target, folder: Path) -> Iterator[Target]:
    """A replica of the demo's server."""
    home = Home(folder / "replica")
    home.create()
    settings = Settings.load(Home.current())
    assert settings is not None
    settings.postgres_port = free_port()
    server = Postgres(home, settings)
    copied = processes.run(
        [
            postgres_program("pg_basebackup"),
            f"--dbname={Database.of(demo).url}",
            f"--pgdata={server.data}",
            "--write-recovery-conf",
            "--checkpoint=fast",
        ],
        log=server.log,
        cwd=home.root,
        user="",
    )
    assert copied, server.log.read_text()
    if os.geteuid() == 0:
        for path in [home.postgres, *home.postgres.rglob("*")]:
            shutil.chown(path, "nobody")
    server.start()
    try:
        yield target_of(server, "opsnb_demo")
    finally:
        server.stop()


def test_a_replica_is_checked_and_never_changed(replica: Target, folder: Path) -> None:
    for check in CHECKS:
        assert check(replica).status is Status.OK, check.name
    for action, arguments in (
        (database.analyze, ()),
        (database.reindex, ("idx_scenes_project_id",)),
        (database.restore, ()),
    ):
        record, found = act(replica, action, *arguments)
        assert record.state is ActionState.FAILED
        assert "is a read-only replica; run this on the primary" in found[0].message
    record, _ = act(replica, database.backup, folder=str(folder / "dumps"))
    assert record.verified
