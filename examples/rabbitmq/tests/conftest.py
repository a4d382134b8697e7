"""A RabbitMQ, and a clean environment with the wheels of opsnb and of this package alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import PROGRAMS, Broker, running
from installed import Site, install


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ of its own."""
    if not PROGRAMS.is_dir():
        reason = "RabbitMQ is not installed; on Debian it is the package rabbitmq-server."
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with running(tmp_path_factory.mktemp("rabbitmq")) as started:
        yield started


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment in which the two wheels are installed."""
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def site(environment: Path, tmp_path: Path) -> Site:
    """A place to operate from, with nothing configured yet."""
    return Site(environment, tmp_path)
