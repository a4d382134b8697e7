"""Redis and PostgreSQL are down only when nothing takes connections there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import ServiceError
from opsnb.handbook.incidents import service_down
from opsnb.model import Status
from opsnb.systems import dependencies

LOGIN = "postgresql://app:secret@127.0.0.1"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def closing_port() -> Iterator[int]:
    """A port that takes connections and ends each at once, as a pooler without its server does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with closing(connection):
                    connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "restarted"


def target(marker: Path, **keys: object) -> Target:
    command = ("touch", str(marker))
    base = Target(name="t", time_limit_s=1, restart={"redis": command, "postgres": command})
    return base.changed(**keys)


def applied(at: Target) -> tuple[str, str, list[Status]]:
    record, found = Guard(at, True, "", lambda _: None).act(dependencies.start)
    return record.summary, record.warning, [finding.status for finding in found]


def test_an_error_of_configuration_starts_nothing(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsnb.systems.dependencies.starting._PATIENCE_S", 0.0)
    at = target(marker, database_url="postgresql://app@no-such-host.invalid/shop")
    known = dependencies.dependency(at, "postgres")
    assert known is not None
    assert known.state == "unknown"
    with pytest.raises(ServiceError):
        service_down.postgres(at)
    _, warning, _ = applied(at)
    assert "PostgreSQL cannot be asked, so it is not restarted" in warning
    assert not marker.exists()


@pytest.mark.parametrize("system", ["redis", "postgres"])
def test_what_refuses_connections_is_started_and_the_plan_says_why(
    marker: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsnb.systems.dependencies.starting._PATIENCE_S", 0.0)
    port = closed_port()
    keys = {"redis": {"redis_url": f"redis://127.0.0.1:{port}"}}.get(
        system, {"database_url": f"{LOGIN}:{port}/shop"}
    )
    summary, _, statuses = applied(target(marker, **keys))
    assert " (down); what responds is not touched. " in summary
    assert "refused" in summary
    assert marker.exists()
    assert statuses == [Status.CRIT]


def test_what_takes_connections_is_not_started(marker: Path, closing_port: int) -> None:
    at = target(marker, database_url=f"{LOGIN}:{closing_port}/shop")
    known = dependencies.dependency(at, "postgres")
    assert known is not None
    assert not known.is_away


def test_parameters_of_an_orm_hide_no_outage(marker: Path) -> None:
    url = f"{LOGIN}:{closed_port()}/shop?schema=public&connection_limit=5"
    known = dependencies.dependency(target(marker, database_url=url), "postgres")
    assert known is not None
    assert known.state == "down"


def test_a_pooler_that_is_down_is_not_postgresql(marker: Path, closing_port: int) -> None:
    database = {
        "url": f"{LOGIN}:{closed_port()}/shop",
        "direct_url": f"{LOGIN}:{closing_port}/shop",
    }
    known = dependencies.dependency(target(marker, database=database), "postgres")
    assert known is not None
    assert known.state == "refuses"
    assert "check the pooler" in known.said


def test_sockets_and_several_hosts(marker: Path, tmp_path: Path, closing_port: int) -> None:
    down = target(marker, database_url=f"postgresql:///shop?host={tmp_path}")
    several = target(marker, database_url=f"{LOGIN}:{closed_port()},127.0.0.1:{closing_port}/shop")
    states = [dependencies.dependency(at, "postgres") for at in (down, several)]
    assert [known and known.is_away for known in states] == [True, False]
    file = target(marker, redis_url=f"unix://{tmp_path}/redis.sock")
    known = dependencies.dependency(file, "redis")
    assert known is not None
    assert known.state == "down"


def test_the_redis_of_the_queues_is_not_started_by_the_command_of_the_cache(marker: Path) -> None:
    queues = {"url": f"redis://127.0.0.1:{closed_port()}"}
    at = target(marker, queues=queues)
    known = dependencies.dependency(at, "redis")
    assert known is not None
    assert (known.state, known.command) == ("down", ())
    assert dependencies.start(at).planned == 0


def test_a_target_that_names_neither() -> None:
    at = Target(name="t")
    plan = dependencies.start(at)
    assert plan.summary == "Target t names none of what opsnb can start: Redis, PostgreSQL."
    assert plan.verify() == []
    found = service_down.redis(at)
    assert (found.status, found.message) == (Status.SKIPPED, "Target t names no redis_url.")
