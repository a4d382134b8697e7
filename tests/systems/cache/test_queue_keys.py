"""A clear leaves the keys of queues alone: of any prefix, any owner, any library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.model import ActionRecord, Finding
from opsnb.systems import cache
from opsnb.systems.cache import clearing, queue_keys, selection, unlinking
from opsnb.systems.cache.keyspace import matching
from opsnb.systems.cache.settings import Cache
from tests.systems.redis_server import BINARIES, Server, start


@pytest.fixture(params=BINARIES, ids=lambda binary: Path(binary).name)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    started = start(tmp_path / "server", binary=request.param)
    yield started
    started.kill()


def act(
    target: Target, action: Action[...], *args: object, **kwargs: object
) -> tuple[ActionRecord, list[Finding]]:
    return Guard(target, True, "", lambda _: None).act(action, *args, **kwargs)


def add_bullmq(client: redis.Redis, base: str, version: str = "bullmq:5.81.5") -> set[str]:
    client.hset(f"{base}:meta", "version", version)
    client.hset(f"{base}:1", "name", "j")
    client.rpush(f"{base}:wait", 1)
    return {f"{base}:meta", f"{base}:1", f"{base}:wait"}


def left(client: redis.Redis, glob: str = "*") -> set[str]:
    found: Iterator[bytes] = client.scan_iter(glob)
    return {key.decode() for key in found}


def test_queues_of_any_prefix_stay_and_their_prefixes_are_named(server: Server) -> None:
    client = server.client()
    client.set("session:1", "x")
    client.hset("article:7:meta", "version", "2")  # no queue: another's field
    client.set("article:7:id", "7")
    bases = ("shop:mail", "bull:invoices", "{jobs}:a:b", "team:eu:x")
    kept = set().union(*(add_bullmq(client, base) for base in bases))
    target = server.target().changed(queue_prefix="shop")
    plan = cache.clear(target, scope="database")
    assert plan.planned == 3
    assert "12 keys of queues stay (prefixes bull, shop, team:eu, {jobs}:a)" in plan.summary
    assert "sessions (session:*)" in plan.warning
    record, (effect,) = act(target, cache.clear, scope="database")
    assert (record.applied, record.verified) == (3, True), effect.message
    assert left(client) == kept
    assert act(target, cache.clear, "*")[0].planned == 0
    assert act(target, cache.clear, "*:wait")[0].planned == 0


def test_only_the_named_prefixes_of_queues_go(server: Server) -> None:
    client = server.client()
    ours = add_bullmq(client, "shop:mail")
    theirs = add_bullmq(client, "bull:invoices")
    others = add_bullmq(client, "team:x")
    target = server.target().changed(queue_prefix="shop")
    record, _ = act(target, cache.clear, scope="database", queue_keys=True)
    assert record.applied == len(ours)
    assert "This clears keys of queues too (shop)" in record.warning
    assert left(client) == theirs | others
    record, _ = act(target, cache.clear, scope="database", other_queues="bull, nobody")
    assert record.applied == len(theirs)
    assert left(client) == others


def test_a_cache_below_the_queues_prefix_can_be_cleared_by_its_own_pattern(server: Server) -> None:
    client = server.client()
    kept = add_bullmq(client, "shop:mail")
    client.set("shop:page:1", "x")
    client.set("shop:named:1", "a job of a queue without bookkeeping")
    target = server.target().changed(queue_prefix="shop", queues=("named",))
    assert act(target, cache.clear, "shop:*")[0].planned == 0
    assert act(target, cache.clear, "shop:page:*")[0].applied == 1
    assert act(target, cache.clear, "shop:named:*")[0].applied == 0
    assert left(client) == kept | {"shop:named:1"}


def test_the_server_itself_leaves_out_the_keys_of_no_queue(server: Server) -> None:
    client = server.client()
    client.set("gemini:1", "x")
    add_bullmq(client, "bull:mail")
    with cache.connection(server.target()) as ours:
        seen = [key for batch in queue_keys.candidates(ours.raw()) for key in batch]
    assert sorted(seen) == [b"bull:mail:meta", b"bull:mail:wait"]


def test_queues_of_other_libraries_stay(server: Server) -> None:
    client = server.client()
    pipeline = client.pipeline(transaction=False)
    # Bull 3
    pipeline.set("bull3:mail:id", 7)
    pipeline.hset("bull3:mail:7", "name", "j")
    pipeline.zadd("bull3:mail:completed", {"7": 1})
    # BullMQ before it wrote its version
    pipeline.hset("old:mail:meta", "opts.maxLenEvents", 10000)
    pipeline.hset("old:mail:1", "name", "j")
    # bee-queue
    pipeline.hset("bq:sum:jobs", "1", "{}")
    pipeline.rpush("bq:sum:waiting", "1")
    pipeline.sadd("bq:sum:succeeded", "1")
    # Sidekiq, in no namespace and in one
    for space in ("", "app:"):
        pipeline.sadd(f"{space}queues", "default")
        pipeline.rpush(f"{space}queue:default", "{}")
        pipeline.zadd(f"{space}schedule", {"{}": 1})
        pipeline.set(f"{space}stat:processed", 1)
    # RQ
    pipeline.sadd("rq:queues", "rq:queue:default")
    pipeline.rpush("rq:queue:default", "1")
    pipeline.hset("rq:job:1", "data", "x")
    # Celery
    pipeline.sadd("_kombu.binding.celery", "celery\x06\x16\x06\x16celery")
    pipeline.rpush("celery", "{}")
    pipeline.rpush("celery\x06\x163", "{}")
    pipeline.hset("unacked", "1", "{}")
    # Laravel
    pipeline.rpush("laravel_database_queues:default", "{}")
    pipeline.zadd("laravel_database_queues:default:delayed", {"{}": 1})
    pipeline.zadd("shop_queues:mail:reserved", {"{}": 1})
    pipeline.zadd("shop_horizon:recent_jobs", {"1": 1})
    pipeline.hset("shop_horizon:1", "payload", "{}")
    # RSMQ
    pipeline.sadd("rsmq:QUEUES", "mail")
    pipeline.hset("rsmq:mail:Q", "vt", 30)
    pipeline.zadd("rsmq:mail", {"1": 1})
    # Huey
    pipeline.rpush("huey.redis.shop", "x")
    pipeline.zadd("huey.schedule.later", {"x": 1})
    # a stream with consumers
    pipeline.xgroup_create("orders", "workers", mkstream=True)
    pipeline.execute()
    kept = left(client)
    client.xadd("log", {"line": "of no queue"})
    cached = {"log", "page:1", "page:2:meta", "queue-length:cached", "report:queues", "user:1:id"}
    for key in cached - {"report:queues", "log"}:
        client.set(key, "x")
    client.sadd("report:queues", "a cached set of that name")
    record, (effect,) = act(server.target(), cache.clear, scope="database")
    assert record.verified, effect.message
    assert left(client) == kept
    assert record.applied == len(cached)


def test_what_could_not_be_looked_through_is_not_cleared(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = server.client()
    for number in range(3000):
        client.set(f"gemini:{number}", "x")
    monkeypatch.setattr(selection, "_FINDING_S", 0.0)
    with pytest.raises(Refused, match="the search for queues ended after 0 s"):
        act(server.target(), cache.clear)
    assert client.dbsize() == 3000


def test_a_queue_that_comes_between_plan_and_apply_stays(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = server.client()
    client.set("gemini:1", "x")
    looking = unlinking.unlink

    def late(*words: object) -> Iterator[int]:
        add_bullmq(client, "gemini:jobs")
        yield from looking(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(clearing, "unlink", late)
    record, (effect,) = act(server.target(), cache.clear)
    assert record.applied == 1, effect.message
    assert left(client) == {"gemini:jobs:meta", "gemini:jobs:1", "gemini:jobs:wait"}


def test_a_login_that_may_not_see_a_queue_clears_what_it_may(server: Server) -> None:
    client = server.client()
    kept = add_bullmq(client, "bull:invoices")
    client.set("gemini:1", "x")
    rights = ("+@all", "resetkeys", "~gemini:*")
    server.run("ACL", "SETUSER", "limited", "on", ">word", *rights)
    record, _ = act(server.target("limited:word"), cache.clear)
    assert (record.applied, record.verified) == (1, True)
    assert left(client) == kept
    server.run("ACL", "SETUSER", "limited", "-type")
    _, (failure,) = act(server.target("limited:word"), cache.clear)
    assert "Nothing was changed" in failure.message
    assert "+type" in failure.message


def test_several_patterns_are_one_cache(server: Server) -> None:
    client = server.client()
    for number in range(1500):
        client.set(f"page:{number}", "x")
        client.set(f"page:home:{number}", "x")
        client.set(f"user:{number}", "x")
    target = server.target().changed(
        cache={"url": Cache.of(server.target()).url, "patterns": ("page:home:*", "page:*", "tag:*")}
    )
    plan = cache.clear(target)
    assert plan.planned == 3000
    assert "match page:home:* or page:* or tag:* in database 0" in plan.summary
    record, _ = act(target, cache.clear)
    assert (record.applied, record.verified, client.dbsize()) == (3000, True, 1500)


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("a*c?", ["acx", "abbc\n"], ["ac", "xacx"]),
        ("[a-c]\\*", ["b*"], ["bx", "d*"]),
        ("[^a]x[]", [], ["bx", "ax"]),
        ("h[el\\]]lo", ["helo", "h]lo"], ["h\\lo"]),
        ("a.b+", ["a.b+"], ["axb", "a.bb"]),
    ],
)
def test_a_glob_means_what_the_server_says(
    server: Server, glob: str, yes: list[str], no: list[str]
) -> None:
    client = server.client()
    for key in (*yes, *no):
        client.set(key, "x")
    assert left(client, glob) == set(yes)
    ours = matching(glob.encode())
    assert isinstance(ours, re.Pattern)
    assert {key for key in (*yes, *no) if ours.match(key.encode())} == set(yes)
