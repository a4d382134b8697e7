"""The sample service keeps what the handbook says of it."""

from __future__ import annotations

import asyncio
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from bullmq import Queue

from opsnb.config.target import Target
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database
from opsnb.systems.processes.settings import Processes

QUEUES = ["ai-analysis", "exports", "notifications"]


@pytest.fixture
def api(demo: Target) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=Api.of(demo).url, timeout=30, trust_env=False) as client:
        yield client


def test_health_tells_version_and_dependencies(api: httpx.Client) -> None:
    answer = api.get("/health")
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] == "ok"
    assert body["dependencies"] == {"redis": "ok", "postgres": "ok"}
    assert body["version"]
    assert body["uptime_s"] > 0


def test_queue_stats_are_those_of_each_queue(api: httpx.Client) -> None:
    queues = api.get("/api/queue/stats").json()["queues"]
    assert [queue["name"] for queue in queues] == QUEUES
    for queue in queues:
        states = ("waiting", "active", "completed", "failed", "delayed")
        assert queue["total"] == sum(queue[state] for state in states)
        assert queue["paused"] is False


def test_one_queue_pauses_and_resumes(api: httpx.Client) -> None:
    def paused() -> list[str]:
        queues = api.get("/api/queue/stats").json()["queues"]
        return [queue["name"] for queue in queues if queue["paused"]]

    assert api.post("/api/queue/exports/pause").json() == {"queue": "exports", "paused": True}
    assert paused() == ["exports"]
    assert api.post("/api/queue/exports/resume").json() == {"queue": "exports", "paused": False}
    assert paused() == []
    assert api.post("/api/queue/pause-all").json()["paused"] is True
    assert paused() == QUEUES
    assert api.post("/api/queue/resume-all").json()["paused"] is False
    assert paused() == []


def test_clean_removes_failed_jobs_older_than_asked(api: httpx.Client, demo: Target) -> None:
    async def fail_one() -> None:
        queue = Queue("exports", {"connection": Cache.of(demo).url})
        try:
            # No project has such an id, and PostgreSQL refuses it.
            job = await queue.add("export", {"project_id": "none"}, {"attempts": 1})
            while not await job.isFailed():
                await asyncio.sleep(0.05)
        finally:
            await queue.close()

    asyncio.run(asyncio.wait_for(fail_one(), 30))
    default = api.post("/api/queue/exports/clean").json()
    assert default == {"queue": "exports", "grace_ms": 24 * 3600 * 1000, "removed": 0}
    assert api.post("/api/queue/exports/clean", json={"grace": 0}).json()["removed"] == 1
    every = api.post("/api/queue/clean-all", params={"grace": 0}).json()
    assert [cleaned["queue"] for cleaned in every["cleaned"]] == QUEUES


@pytest.mark.parametrize("grace", ["soon", -1, 1.5, ""])
def test_clean_refuses_an_unusable_age(api: httpx.Client, grace: object) -> None:
    answer = api.post("/api/queue/exports/clean", json={"grace": grace})
    assert answer.status_code == 400
    assert "milliseconds" in answer.json()["error"]


@pytest.mark.parametrize("action", ["pause", "resume", "clean"])
def test_an_unknown_queue_is_not_found(api: httpx.Client, action: str) -> None:
    answer = api.post(f"/api/queue/nope/{action}")
    assert answer.status_code == 404
    assert "nope" in answer.json()["error"]


def test_unknown_paths_and_bad_bodies_are_refused_in_json(api: httpx.Client) -> None:
    assert api.get("/nope").status_code == 404
    assert "error" in api.get("/nope").json()
    bad = api.post("/api/analysis", content="{", headers={"content-type": "application/json"})
    assert bad.status_code == 400
    assert "error" in bad.json()
    assert api.post("/api/analysis", json={"scene_id": "x"}).status_code == 400
    assert api.get("/api/projects/0").status_code == 404
    assert api.get("/api/projects/999999").status_code == 404


def test_warming_fills_the_cache_with_keys_that_expire(api: httpx.Client, demo: Target) -> None:
    with redis.Redis.from_url(Cache.of(demo).url, decode_responses=True) as client:
        client.delete("project:1", "gemini:analysis:scene:1")
        warmed = api.post("/api/cache/warm").json()["warmed"]
        assert warmed == {"projects": 100, "analyses": 100}
        assert 0 < client.ttl("project:1") <= 15 * 60
        assert 0 < client.ttl("gemini:analysis:scene:1") <= 60 * 60


def test_projects_and_analyses_are_listed(api: httpx.Client) -> None:
    assert len(api.get("/api/projects").json()["projects"]) == 50
    assert len(api.get("/api/analysis").json()["analyses"]) == 50
    assert len(api.get("/api/projects/7").json()["scenes"]) == 15
    assert api.get("/api/analysis/1").json()["analysis"]["scene_id"] == 1


def test_an_ordered_analysis_is_done_by_the_worker(api: httpx.Client, demo: Target) -> None:
    answer = api.post("/api/analysis", json={"scene_id": 10})
    assert answer.status_code == 202

    async def done() -> None:
        queue = Queue("ai-analysis", {"connection": Cache.of(demo).url})
        try:
            job_id = answer.json()["job_id"]
            while await queue.getJobState(job_id) != "completed":
                await asyncio.sleep(0.05)
        finally:
            await queue.close()

    asyncio.run(asyncio.wait_for(done(), 30))
    # Every fifth scene comes without an analysis.
    assert api.get("/api/analysis/10").status_code == 200


def test_the_dashboard_is_served(api: httpx.Client) -> None:
    page = api.get("/admin/queues", follow_redirects=True)
    assert page.status_code == 200
    assert "html" in page.headers["content-type"]
    queues = api.get("/admin/queues/api/queues").json()["queues"]
    assert sorted(queue["name"] for queue in queues) == QUEUES


def test_the_database_is_what_the_handbook_expects(demo: Target) -> None:
    with psycopg.connect(Database.of(demo).url) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            for table in ("projects", "scenes", "analyses")
        ]
        assert all(count and count[0] >= 200 for count in counts)
        assert (
            connection.execute(
                "SELECT FROM pg_indexes WHERE tablename = 'scenes' AND indexname = %s",
                ("idx_scenes_project_id",),
            ).fetchone()
            is not None
        )
        assert connection.execute("SELECT FROM pg_stat_statements LIMIT 1").fetchone() is not None


def test_servers_want_a_password_and_listen_on_loopback_alone(demo: Target) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(Cache.of(demo).url.replace("://:", "://:x")).ping()
    wrong = psycopg.conninfo.conninfo_to_dict(Database.of(demo).url) | {"password": "x"}
    with pytest.raises(psycopg.OperationalError, match="password authentication"):
        psycopg.connect(**wrong)  # type: ignore[arg-type]
    with psycopg.connect(Database.of(demo).url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
    with redis.Redis.from_url(Cache.of(demo).url, decode_responses=True) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_no_secret_is_shown(stack_home: Path, demo: Target) -> None:
    assert stat.S_IMODE((stack_home / "opsnb.toml").stat().st_mode) == 0o600
    listed = subprocess.run(
        [Processes.of(demo).command, "jlist"], capture_output=True, text=True, check=True
    ).stdout
    logs = "".join(log.read_text() for log in (stack_home / "logs").rglob("*.log"))
    assert demo.secrets
    for secret in demo.secrets:
        assert secret not in listed
        assert secret not in logs
