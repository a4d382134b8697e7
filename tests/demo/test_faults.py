"""Each fault is the real thing, can be given twice, and leaves nothing when it is cleared."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
import redis

from opsnb.config.target import Target
from opsnb.demo import faults, processes, stack
from opsnb.errors import DemoError, UsageError
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database
from opsnb.systems.logs.settings import Logs

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARN|ERROR) (app|worker|cli) \S")


def get(target: Target, path: str) -> httpx.Response:
    return httpx.get(Api.of(target).url + path, timeout=30, trust_env=False)


def queue(target: Target, name: str = "ai-analysis") -> dict[str, int]:
    queues = get(target, "/api/queue/stats").json()["queues"]
    return next(counts for counts in queues if counts["name"] == name)


def state(part: str) -> str:
    return next(found.state for found in stack.status().parts if found.name == part)


def backlog(target: Target) -> None:
    counts = queue(target)
    assert 500 <= counts["waiting"] <= 700
    assert counts["active"] <= 3


def failing(target: Target) -> None:
    counts = queue(target)
    assert counts["failed"] / (counts["failed"] + counts["completed"]) > 0.1


def stuck(target: Target) -> None:
    counts = queue(target, "exports")
    assert (counts["active"], counts["waiting"] >= 150) == (1, True)


def paused(target: Target) -> None:
    counts = queue(target)
    assert counts["paused"]
    assert 150 <= counts["waiting"] <= 300


def disk_full(target: Target) -> None:
    folder = Path(Logs.of(target).access[0]).parent
    assert folder.is_mount()
    with pytest.raises(OSError, match="No space left"):
        (folder / "more").write_bytes(bytes(8192))
    (folder / "more").unlink()
    assert get(target, "/api/projects").status_code == 200


def worker_down(_: Target) -> None:
    assert state("worker") == "down"
    assert state("app") == "up"


def api_down(target: Target) -> None:
    assert state("app") == "down"
    with pytest.raises(httpx.ConnectError):
        get(target, "/health")


def api_slow(target: Target) -> None:
    assert get(target, "/health").elapsed.total_seconds() >= 1.2


def redis_gone(target: Target) -> None:
    assert get(target, "/health").json()["dependencies"] == {"redis": "down", "postgres": "ok"}
    for path in ("/api/queue/stats", "/api/projects/1", "/admin/queues"):
        assert get(target, path).status_code == 503
    assert get(target, "/api/projects").status_code == 200
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        redis.Redis.from_url(Cache.of(target).url, socket_timeout=1).ping()


def postgres_gone(target: Target) -> None:
    assert get(target, "/health").json()["dependencies"] == {"redis": "ok", "postgres": "down"}
    assert get(target, "/api/projects").status_code == 503
    assert get(target, "/api/queue/stats").status_code == 200
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(Database.of(target).url, connect_timeout=2)


def log_errors(target: Target) -> None:
    assert errors(target) >= 60


def errors(target: Target) -> int:
    return Path(Logs.of(target).files[0]).read_text().count(" ERROR ")


def misses(target: Target) -> float:
    """Return the share of reads that miss."""
    with redis.Redis.from_url(Cache.of(target).url) as client:
        before = client.info("stats")
        time.sleep(2)
        after = client.info("stats")
    hits, missed = (after[name] - before[name] for name in ("keyspace_hits", "keyspace_misses"))
    return float(missed / (hits + missed))


def all_misses(target: Target) -> None:
    assert misses(target) > 0.5


def projects_miss(target: Target) -> None:
    assert misses(target) > 0.3


def wrong_scores(target: Target) -> None:
    with psycopg.connect(Database.of(target).url) as connection:
        found = connection.execute("SELECT count(*) FROM analyses WHERE score > 1").fetchone()
    assert found is not None
    assert found[0] >= 40


def sessions(target: Target, condition: str) -> int:
    with psycopg.connect(Database.of(target).url, autocommit=True) as connection:
        row = connection.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE {condition}".encode()
        ).fetchone()
    return int(row[0]) if row else 0


def blocked(target: Target) -> None:
    assert sessions(target, "wait_event_type = 'Lock'")


def flooded(target: Target) -> None:
    assert sessions(target, "state = 'idle' AND application_name = 'stats-collector'") > 30


def searches(target: Target) -> None:
    ends = time.monotonic() + 30
    while not sessions(target, "query LIKE 'SELECT count(*) FROM events%'"):
        assert time.monotonic() < ends
        time.sleep(0.1)


def grows(_: Target) -> None:
    def size() -> int:
        app = next(part for part in stack.status().parts if part.name == "app")
        return sum(psutil.Process(pid).memory_info().rss for pid in app.pids)

    before, ends = size(), time.monotonic() + 30
    while size() < before + 5 * 2**20:
        assert time.monotonic() < ends
        time.sleep(0.1)


def broken_list(target: Target) -> None:
    assert get(target, "/api/projects").status_code == 500
    assert get(target, "/api/projects/1").status_code == 200


EFFECTS: dict[str, Callable[[Target], None]] = {
    "queue-backlog": backlog,
    "failing-jobs": failing,
    "stuck-job": stuck,
    "queue-paused": paused,
    "full-disk": disk_full,
    "worker-down": worker_down,
    "api-down": api_down,
    "api-slow": api_slow,
    "redis-down": redis_gone,
    "redis-hang": redis_gone,
    "postgres-down": postgres_gone,
    "postgres-hang": postgres_gone,
    "log-errors": log_errors,
    "cold-cache": all_misses,
    "short-ttls": projects_miss,
    "memory-leak": grows,
    "blocked-table": blocked,
    "connection-flood": flooded,
    "slow-statement": searches,
    "inconsistent-rows": wrong_scores,
    "bad-release": broken_list,
}


def test_every_fault_is_tested() -> None:
    assert set(faults.FAULTS) == set(EFFECTS)
    for fault in faults.FAULTS.values():
        assert fault.description.endswith(".")


@pytest.mark.parametrize("name", EFFECTS)
def test_a_fault_breaks_and_mends(name: str, demo: Target) -> None:
    pids = {part.name: part.pids for part in stack.status().parts}
    for _ in range(2):
        faults.inject(name)
        EFFECTS[name](demo)
        assert faults.active() == [name]
        assert stack.status().faults == (name,)
    for _ in range(2):
        faults.clear(name)
        assert faults.active() == []
    assert stack.status().state == "up"
    assert get(demo, "/health").json()["status"] == "ok"
    counts = queue(demo)
    assert counts["waiting"] < 100
    assert counts["failed"] == 0
    assert errors(demo) < 10
    assert not Path(Logs.of(demo).access[0]).parent.is_mount()
    after = {part.name: part.pids for part in stack.status().parts}
    if name not in ("api-down", "bad-release"):
        assert after["app"] == pids["app"], "the API restarted"
    if name != "worker-down":
        assert after["worker"] == pids["worker"], "the worker restarted"


def test_a_fault_that_this_machine_cannot_have_is_refused(
    demo: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DemoError, match="only root may do"):
        faults.inject("full-disk")
    assert faults.active() == []


def test_data_outlives_valkey_being_down(demo: Target) -> None:
    with redis.Redis.from_url(Cache.of(demo).url, decode_responses=True) as client:
        client.set("kept", "yes")
        faults.inject("redis-down")
        faults.clear("redis-down")
        assert client.get("kept") == "yes"
        client.delete("kept")


def test_up_leaves_a_fault_and_says_so(demo: Target) -> None:
    faults.inject("worker-down")
    said: list[str] = []
    assert stack.up(said.append).state == "degraded"
    assert any("worker-down" in line and "--clear" in line for line in said)
    assert state("worker") == "down"


def test_a_part_that_died_in_a_fault_hangs_again_after_up(demo: Target) -> None:
    faults.inject("redis-hang")
    server = next(part for part in stack.status().parts if part.name == "valkey")
    assert server.state == "hung"
    for pid in server.pids:
        os.kill(pid, signal.SIGKILL)
    assert processes.wait_until(lambda: state("valkey") == "down", 30)
    stack.up(lambda _: None)
    assert state("valkey") == "hung"
    faults.clear("redis-hang")
    assert stack.status().state == "up"


def test_a_fault_that_needs_what_another_holds_is_refused(demo: Target) -> None:
    faults.inject("redis-down")
    with pytest.raises(DemoError, match="redis-down"):
        faults.inject("queue-backlog")
    assert faults.active() == ["redis-down"]


def test_an_unknown_fault_is_refused_with_the_nearest_name() -> None:
    for command in (faults.inject, faults.clear):
        with pytest.raises(UsageError, match="Did you mean 'worker-down'"):
            command("worker-dwn")


def test_a_fault_needs_a_stack() -> None:
    assert faults.active() == []
    for command in (faults.inject, faults.clear):
        with pytest.raises(DemoError, match="opsnb demo up"):
            command("worker-down")


def test_the_log_is_stamped(demo: Target) -> None:
    lines = Path(Logs.of(demo).files[0]).read_text().splitlines()
    assert lines
    assert all(LINE.match(line) for line in lines)
