"""Servers for the tests of the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systems.redis_server import BINARIES, Server, start


@pytest.fixture(params=BINARIES, ids=lambda binary: Path(binary).name)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """An empty server, once of each kind."""
    started = start(tmp_path / "server", binary=request.param)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for many small tests."""
    started = start(tmp_path_factory.mktemp("redis"))
    yield started
    started.kill()
