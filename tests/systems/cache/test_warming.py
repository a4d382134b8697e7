"""The cache is warmed up as its runbook says, on real servers."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from pathlib import Path

import httpx
import pytest
import redis

from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.model import ActionState, Status
from opsnb.systems import cache
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.settings import Cache
from tests.systems.cache.filling import act
from tests.systems.redis_server import Server, start


def test_warmed_directly_a_project_is_what_the_service_itself_would_have_cached(
    demo: Target,
) -> None:
    with redis.Redis.from_url(Cache.of(demo).url) as client:
        client.delete("project:5")
        httpx.get(f"{Api.of(demo).url}/api/projects/5")
        theirs = client.get("project:5")
        assert theirs is not None
        record, (effect,) = act(demo, cache.warm_up, 120, via="direct")
        assert (record.planned, record.applied, record.verified) == (120, 120, True)
        assert effect.message == "120 of 120 projects are cached, for at least 15 min."
        ours = client.get("project:5")
        assert ours is not None
        assert json.loads(ours) == json.loads(theirs)
        assert 880 < client.ttl("project:120") <= 900
    assert httpx.get(f"{Api.of(demo).url}/api/projects/5").json()["project"]["id"] == 5


def test_fewer_projects_than_asked_for_are_planned_as_they_are(demo: Target) -> None:
    plan = cache.warm_up(demo, 10_000, via="direct")
    assert plan.planned == 200
    assert "there are only 200" in plan.summary
    assert plan.bytes is not None
    assert plan.bytes > 200 * 50


def test_the_api_warms_up_what_it_holds_for_critical(demo: Target) -> None:
    record, (effect,) = act(demo, cache.warm_up)
    assert (record.planned, record.unit, record.verified) == (1, "requests", True)
    assert effect.value is not None
    assert effect.value >= 100


def test_a_warm_up_that_cannot_begin_says_so_and_changes_nothing(demo: Target) -> None:
    nowhere = demo.changed(api_url="http://127.0.0.1:9")
    record, (finding,) = act(nowhere, cache.warm_up)
    assert record.state is ActionState.FAILED
    assert finding.message.startswith("Nothing was changed: The API at http://127.0.0.1:9")
    wrong = demo.changed(api_url=f"{Api.of(demo).url}/nothing-here")
    record, (failure, _) = act(wrong, cache.warm_up)
    assert "POST /api/cache/warm answered 404" in failure.message
    assert "via=direct" in failure.message


def test_a_warm_up_that_goes_on_after_its_answer_is_waited_for(server: Server) -> None:
    class Api(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(202)
            self.end_headers()
            threading.Timer(1, server.client().set, ("project:1", "{}"), {"ex": 60}).start()

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        api = {"url": f"http://127.0.0.1:{listener.server_port}", "health": ""}
        cached = {"url": Cache.of(server.target()).url, "patterns": ("project:*",)}
        record, (effect,) = act(server.target().changed(api=api, cache=cached), cache.warm_up)
        listener.shutdown()
    assert (effect.status, effect.value) == (Status.OK, 1), effect.message
    assert record.verified


def test_a_refused_warm_up_is_not_verified(demo: Target) -> None:
    wrong = demo.changed(cache={"url": Cache.of(demo).url, "warm_up": "/no/such/path"})
    plan = cache.warm_up(wrong)
    assert "Only --apply shows whether the API has /no/such/path." in plan.summary
    record, (failure, effect) = act(wrong, cache.warm_up)
    assert "POST /no/such/path answered 404: the API has no such path" in failure.message
    assert (effect.status, effect.message) == (
        Status.SKIPPED,
        "Not verified: nothing was done.",
    )
    assert record.verified is False


def test_a_service_without_a_warm_up_is_told_so(demo: Target) -> None:
    bare = demo.changed(cache={"url": Cache.of(demo).url, "warm_up": "", "patterns": ("page:*",)})
    with pytest.raises(Refused, match=r"set warm_up in \[targets.demo.cache\]"):
        cache.warm_up(bare)
    with pytest.raises(Refused, match="holds page:"):
        cache.warm_up(bare, via="direct")


def test_a_command_may_warm_up(shared: Server) -> None:
    shared.client().flushall()
    fill = "redis.Redis(port=int(sys.argv[1])).mset({f'page:{n}': n for n in range(7)})"
    script = f"import sys, redis; {fill}"
    words = (sys.executable, "-c", script, str(shared.port))
    url = Cache.of(shared.target()).url
    target = shared.target().changed(cache={"url": url, "patterns": ("page:*",), "warm_up": words})
    record, (effect,) = act(target, cache.warm_up)
    assert (record.planned, record.applied, record.verified) == (1, 1, True), effect.message
    assert effect.message == "Cached now: 7 keys (page:*); before: 0."
    idle = target.changed(
        cache={"url": url, "patterns": ("page:*",), "warm_up": (sys.executable, "-c", "")}
    )
    record, (effect,) = act(idle, cache.warm_up)
    assert (record.verified, effect.status) == (False, Status.UNKNOWN)
    assert "Nothing shows that the warm-up wrote any." in effect.message


def test_a_full_server_says_that_it_is_full_and_quotes_no_value(
    demo: Target, tmp_path: Path
) -> None:
    server = start(tmp_path / "full", "--maxmemory", "1", "--maxmemory-policy", "noeviction")
    try:
        full = demo.changed(redis_url=Cache.of(server.target()).url)
        record, (failure, effect) = act(full, cache.warm_up, 10, via="direct")
        memory = cache.memory(full)
        server.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        evicting = cache.memory(full)
    finally:
        server.kill()
    assert memory.status is Status.CRIT
    assert "Redis is full and refuses every write" in memory.message
    assert evicting.status is Status.WARN  # it makes room
    assert record.state is ActionState.FAILED
    assert "is full and refuses to write; delete keys" in failure.message
    assert "Project" not in failure.message
    assert effect.message == f"0 of 10 projects are cached. The action failed: {record.error}"
