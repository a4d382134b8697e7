"""The cache is cleared, warmed up and looked at as its runbooks say, on real servers."""

from __future__ import annotations

import http.server
import json
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.checks.check import Check
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.demo.home import free_port
from opsnb.errors import BadAnswer, ParameterError, Refused, ServiceError, Unreachable
from opsnb.model import ActionRecord, ActionState, Finding, Status
from opsnb.systems import cache
from opsnb.systems.api.settings import Api
from opsnb.systems.cache import clearing, unlinking
from opsnb.systems.cache.keyspace import lifetime
from opsnb.systems.cache.settings import Cache
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


def act(
    target: Target, action: Action[...], *args: object, **kwargs: object
) -> tuple[ActionRecord, list[Finding]]:
    guard = Guard(target, True, "", lambda _: None)
    return guard.act(action, *args, **kwargs)


def fill(client: redis.Redis, names: list[bytes]) -> None:
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.set(name, b"value")
    pipeline.execute()


def numbered(family: str, count: int) -> list[bytes]:
    return [f"{family}:{number}".encode() for number in range(count)]


# Clearing


def test_clear_takes_what_matches_and_nothing_else(server: Server) -> None:
    client = server.client()
    wanted = [*numbered("gemini:scene", 2500), b"gemini:\xff\x00 not text", b"gemini:"]
    others = [*numbered("project", 300), b"xgemini:1", b"Gemini:1"]
    fill(client, [*wanted, *others])

    plan = cache.clear(server.target())
    assert plan.planned == len(wanted)
    assert plan.summary == "Clear 2,502 keys that match gemini:* in database 0."
    assert plan.command == 'redis-cli KEYS "gemini:*" | xargs redis-cli DEL'
    assert plan.undo == ""
    assert len(plan.sample) == 10
    assert all(row["type"] == "string" for row in plan.sample)
    assert plan.bytes is not None
    assert 20 * plan.planned < plan.bytes < 200 * plan.planned
    assert client.dbsize() == len(wanted) + len(others)

    record, (effect,) = act(server.target(), cache.clear)
    assert (record.applied, record.verified) == (len(wanted), True)
    assert effect.message == "No key that matches is left."
    assert set(client.scan_iter()) == set(others)

    used = set(client.info("commandstats"))
    assert not used & {"cmdstat_keys", "cmdstat_flushall", "cmdstat_flushdb", "cmdstat_del"}
    assert act(server.target(), cache.clear)[0].verified is None


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ({"pattern": "*"}, {0: {b"bull:mail:1", b"bull:mail:meta"}, 3: {b"c", b"bull:mail:2"}}),
        ({"pattern": "bull:*"}, {0: {b"a", b"bull:mail:1", b"bull:mail:meta", b"bully"}, 3: None}),
        ({"scope": "database"}, {0: {b"bull:mail:1", b"bull:mail:meta"}, 3: None}),
        ({"scope": "database", "db": "3"}, {0: None, 3: {b"bull:mail:2"}}),
        ({"pattern": "c", "db": "3"}, {0: None, 3: {b"bull:mail:2"}}),
        ({"scope": "all"}, {0: {b"bull:mail:1", b"bull:mail:meta"}, 3: {b"bull:mail:2"}}),
        ({"scope": "all", "queue_keys": True}, {0: set(), 3: set()}),
        ({"pattern": "bull:mail:?", "queue_keys": True}, {0: {b"a", b"bull:mail:meta", b"bully"}}),
    ],
)
def test_queue_keys_are_left_alone_in_every_scope(
    shared: Server, how: dict[str, object], left: dict[int, set[bytes] | None]
) -> None:
    before = {0: {b"a", b"bull:mail:1", b"bull:mail:meta", b"bully"}, 3: {b"c", b"bull:mail:2"}}
    shared.client().flushall()
    for db, names in before.items():
        fill(shared.client(db), sorted(names))
    record, (effect,) = act(shared.target(), cache.clear, **how)
    assert record.applied == record.planned, effect.message
    assert record.verified is (True if record.planned else None)
    for db, kept in left.items():
        expected = before[db] if kept is None else kept
        assert set(shared.client(db).scan_iter()) == expected, db


def test_the_database_of_the_url_is_the_one_that_is_cleared(shared: Server) -> None:
    shared.client().flushall()
    for db in (0, 5):
        fill(shared.client(db), numbered("gemini", 3))
    act(shared.target(db=5), cache.clear)
    assert (shared.client(0).dbsize(), shared.client(5).dbsize()) == (3, 0)


KEYS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=6),
        st.text("ab:*?[]\\", min_size=1, max_size=6).map(str.encode),
        st.text("ab:", max_size=4).map(lambda text: f"bull:{text}".encode()),
    ),
    max_size=30,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(keys=KEYS, pattern=st.text("ab:*?[]\\^-", min_size=1, max_size=5))
def test_any_pattern_takes_what_the_server_says_it_matches(
    shared: Server, keys: list[bytes], pattern: str
) -> None:
    client = shared.client()
    client.flushall()
    fill(client, keys)
    matching: Any = client.keys(pattern)
    meant = {key for key in matching if not key.startswith(b"bull:")}
    record, _ = act(shared.target(), cache.clear, pattern)
    assert record.planned == record.applied == len(meant)
    assert set(client.scan_iter()) == set(keys) - meant


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"scope": "all", "db": "1"}, "leave db empty"),
        ({"db": "99"}, "no such database. Databases with keys: 0"),
        ({"db": "x"}, "a database has a number"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything(
    shared: Server, how: dict[str, str], says: str
) -> None:
    shared.client().flushall()
    fill(shared.client(), numbered("gemini", 3))
    with pytest.raises(ParameterError, match=says):
        act(shared.target(), cache.clear, **how)
    assert shared.client().dbsize() == 3


def test_without_a_pattern_it_is_what_counts_as_cache(shared: Server) -> None:
    nothing = shared.target().changed(cache={"url": Cache.of(shared.target()).url, "patterns": ()})
    with pytest.raises(ParameterError, match="names no patterns"):
        act(nothing, cache.clear)


def test_nothing_to_clear_is_said_and_is_no_failure(shared: Server) -> None:
    shared.client().flushall()
    record, (effect,) = act(shared.target(), cache.clear, "nobody:*")
    assert (record.planned, record.applied, record.verified) == (0, 0, None)
    assert record.summary.startswith("Nothing to do: No key matches nobody:*")
    assert effect.status is Status.OK


def test_a_key_space_too_large_to_count_in_time_is_estimated_and_says_so(
    shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.client().flushall()
    fill(shared.client(), [*numbered("gemini", 16_000), *numbered("project", 4_000)])
    monkeypatch.setattr(clearing, "COUNTING_S", 0.0)
    plan = cache.clear(shared.target())
    assert 14_000 < plan.planned < 18_000
    assert "an estimate: the count stopped" in plan.summary
    assert "of 20,000 keys" in plan.summary


def test_traffic_neither_stops_a_clear_nor_widens_it(shared: Server) -> None:
    client = shared.client()
    client.flushall()
    fill(client, numbered("gemini", 20_000))
    written: list[bytes] = []
    ended = threading.Event()

    def write() -> None:
        with shared.client() as other:
            for number in range(100_000):
                if ended.is_set():
                    return
                written.append(f"project:{number}".encode())
                other.mset({written[-1]: b"", f"gemini:new:{number}": b""})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        record, (effect,) = act(shared.target(), cache.clear)
    finally:
        ended.set()
        writer.join()
    assert record.state is ActionState.APPLIED
    assert record.verified, effect.message
    assert not list(client.scan_iter("gemini:[0-9]*"))
    assert set(client.scan_iter("project:*")) == set(written)


def test_a_key_that_was_left_is_told_from_one_that_came_back(
    shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared.client()
    client.flushall()
    client.set("gemini:old", "x")
    dump = client.dump("gemini:old")
    assert dump is not None

    def returning(*_: object) -> Iterator[int]:
        yield client.delete("gemini:old")
        client.set("gemini:old", "again")

    monkeypatch.setattr(clearing, "unlink", returning)
    record, (effect,) = act(shared.target(), cache.clear)
    assert record.verified
    assert effect.message == "1 key matches again: the service has cached since the clear."

    def idle(*_: object) -> Iterator[int]:
        yield 1

    client.restore("gemini:old", 0, dump, replace=True, idletime=600)
    monkeypatch.setattr(clearing, "unlink", idle)
    record, (effect,) = act(shared.target(), cache.clear)
    assert record.verified is False
    assert (effect.status, effect.value) == (Status.CRIT, 1)


def test_where_the_server_keeps_no_idle_times_the_effect_is_unknown_rather_than_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "unlink", lambda *_: iter([1]))
    server = start(tmp_path / "lfu", "--maxmemory-policy", "allkeys-lfu")
    try:
        server.client().set("gemini:1", "x")
        _, (effect,) = act(server.target(), cache.clear)
    finally:
        server.kill()
    assert effect.status is Status.UNKNOWN
    assert "LFU" in effect.message


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch, stop: object) -> None:
    """Let the work meet `stop` after some batches."""
    seen: list[int] = []
    adapt = unlinking.Pace.adapt

    def adapting(pace: unlinking.Pace) -> None:
        seen.append(1)
        if len(seen) == batches:
            assert callable(stop)
            stop()
        adapt(pace)

    monkeypatch.setattr(unlinking.Pace, "adapt", adapting)


def test_a_server_lost_half_way_is_one_sentence_and_what_was_done(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(server.client(), numbered("gemini", 8_000))
    stop_after(4, monkeypatch, server.kill)
    record, (failure, effect) = act(server.target(), cache.clear)
    assert record.state is ActionState.FAILED
    assert 0 < record.applied < 8_000
    assert f"{record.applied:,} of 8,000 keys done" in failure.message
    assert failure.message.startswith(f"Redis at redis://127.0.0.1:{server.port} cannot be reached")
    assert effect.status is Status.UNKNOWN


def test_an_interrupted_clear_says_how_far_it_came_and_the_next_finishes_it(
    shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared.client()
    client.flushall()
    fill(client, numbered("gemini", 8_000))

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        stop_after(4, patch, interrupt)
        journal: list[ActionRecord] = []
        with pytest.raises(KeyboardInterrupt):
            Guard(shared.target(), True, "", journal.append).act(cache.clear)
    told = journal[-1]
    assert told.state is ActionState.INTERRUPTED
    assert 0 < told.applied < 8_000
    record, _ = act(shared.target(), cache.clear)
    assert told.applied + record.applied <= 8_000
    assert (record.verified, client.dbsize()) == (True, 0)


class Answering:
    """A server that answers in the times it is told, in seconds."""

    def __init__(self) -> None:
        self.wait_s = 0.0

    def ping(self) -> None:
        time.sleep(self.wait_s)


def test_a_clear_takes_less_at_once_while_the_server_answers_late() -> None:
    server = Answering()
    pace = unlinking.Pace(server)  # type: ignore[arg-type]
    full = pace.batch

    def adapt(times: int) -> None:
        for _ in range(times):
            pace._due = 0.0
            pace.adapt()

    server.wait_s = 0.03
    adapt(1)
    assert pace.batch == full  # once may be chance
    adapt(5)
    assert pace.batch == pace._LEAST
    server.wait_s = 0.0
    adapt(8)
    assert pace.batch == full


def test_no_work_without_the_guard(shared: Server, demo: Target) -> None:
    fill(shared.client(), [b"gemini:1"])
    mixed = demo.changed(redis_url=Cache.of(shared.target()).url)
    for plan in (
        cache.clear(shared.target()),
        cache.warm_up(mixed, via="api"),
        cache.warm_up(mixed, via="direct"),
    ):
        with pytest.raises(Refused):
            list(plan.work(None))  # type: ignore[arg-type]
    with pytest.raises(Refused), cache.writing(shared.target(), None):  # type: ignore[arg-type]
        pass
    assert shared.client().exists("gemini:1", "project:1") == 1


# Warming up


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
    assert effect.message == "0 of 10 projects are cached."


# What servers refuse


def test_a_replica_is_not_written_to(shared: Server, tmp_path: Path) -> None:
    replica = start(tmp_path / "replica", "--replicaof", f"127.0.0.1 {shared.port}")
    try:
        record, (finding,) = act(replica.target(), cache.clear)
        assert record.state is ActionState.FAILED
        assert f"read-only replica of 127.0.0.1:{shared.port}" in finding.message
        with (
            pytest.raises(BadAnswer, match="is a read-only replica; use its primary"),
            cache.connection(replica.target()) as client,
        ):
            client.set("a", "b")
    finally:
        replica.kill()


def test_a_node_of_a_cluster_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    bus = str(free_port())  # by default 10,000 above the port, which may be no port at all
    node = start(tmp_path / "node", "--cluster-enabled", "yes", "--cluster-port", bus)
    try:
        for look in (cache.keys, cache.families, cache.memory, cache.hit_rate):
            with pytest.raises(BadAnswer, match="cluster mode, which opsnb does not support"):
                look(node.target())
        record, (finding,) = act(node.target(), cache.clear)
    finally:
        node.kill()
    assert record.state is ActionState.FAILED
    assert "cluster mode" in finding.message


CHECKS: tuple[Check[...], ...] = (
    cache.ping,
    cache.memory,
    cache.eviction,
    cache.fragmentation,
    cache.clients,
    cache.persistence,
    cache.keys,
    cache.latency,
    cache.slow_log,
    cache.families,
)


def test_a_login_that_may_do_little_is_told_what_it_lacks(server: Server) -> None:
    client = server.client()
    fill(client, numbered("gemini", 10))
    server.run("ACL", "SETUSER", "guest", "on", ">word", "~*", "+ping")
    guest = server.target("guest:word")
    assert cache.ping(guest).status is Status.OK
    for look in CHECKS[1:]:
        if look is cache.latency:
            continue
        with pytest.raises(BadAnswer, match=r"ACL SETUSER guest \+") as raised:
            look(guest)
        assert "does not let user 'guest' run" in str(raised.value)

    server.run("ACL", "SETUSER", "guest", "+info", "+scan", "+dbsize", "+type", "+pttl")
    found = cache.families(guest)
    assert (found.value, found.rows[0]["KiB"]) == (10, None)
    assert "MEMORY USAGE is not permitted" in found.message
    record, (failure, effect) = act(guest, cache.clear)
    assert "run EVAL; let it: ACL SETUSER guest +eval." in failure.message
    assert record.applied == 0
    assert effect.status is Status.CRIT

    server.run("ACL", "SETUSER", "guest", "+eval", "+object|idletime")
    record, (failure, effect) = act(guest, cache.clear)
    assert "ACL SETUSER guest +scan +unlink." in failure.message
    assert effect.message == "10 keys that should be gone are still there."

    server.run("ACL", "SETUSER", "guest", "+unlink", "resetkeys", "~project:*")
    _, (failure,) = act(guest, cache.clear)
    assert "ACL SETUSER guest allkeys" in failure.message


def limited(server: Server, *rights: str) -> Target:
    server.run("ACL", "SETUSER", "ops", "reset", "on", ">word", "~*", "+@all", *rights)
    return server.target("ops:word")


def test_what_a_login_may_not_run_stops_nothing_else(server: Server) -> None:
    client = server.client()
    fill(client, numbered("gemini", 10))
    without = ("info", "config", "slowlog", "monitor", "memory", "client", "time", "ping", "object")
    target = limited(server, *(f"-{command}" for command in without))
    assert cache.ping(target).message.startswith("Redis answered PING with NOPERM")
    found = cache.families(target)
    assert (found.status, found.value) == (Status.OK, 10)
    assert any("ACL SETUSER ops +info" in extra for extra in found.evidence.extras)
    assert cache.key(target, "gemini:1").status is Status.OK
    for check in (cache.memory, cache.keys, cache.hit_rate, cache.clients, cache.eviction):
        (finding,) = Measurement(target).run([check.given()])
        assert finding.status is Status.UNKNOWN
        assert "ACL SETUSER ops +info" in finding.message
    for check, right in ((cache.slow_log, "slowlog"), (cache.commands, "monitor")):
        (finding,) = Measurement(target).run([check.given()])
        assert finding.status is Status.UNKNOWN
        assert f"ACL SETUSER ops +{right}" in finding.message
    record, (effect,) = act(target, cache.clear)
    assert (record.applied, client.dbsize()) == (10, 0)
    assert "ACL SETUSER ops +info" in record.warning
    assert effect.status is Status.OK


def test_extras_that_are_missing_are_left_out(server: Server) -> None:
    target = limited(server, "-time", "-config")
    assert cache.persistence(target).status is Status.OK
    assert cache.slow_log(target).status is Status.OK
    assert cache.clients(target).status is Status.OK


def test_a_slow_log_that_is_off_shows_nothing(server: Server) -> None:
    server.run("CONFIG", "SET", "slowlog-log-slower-than", "-1")
    found = cache.slow_log(server.target())
    assert found.status is Status.UNKNOWN
    assert "the slow log is off" in found.message


def test_lookups_of_queues_that_cannot_be_told_apart_are_no_alarm(server: Server) -> None:
    target = limited(server, "-monitor")
    client = server.client()
    ended = threading.Event()

    def work() -> None:
        with server.client() as other:
            while not ended.wait(0.001):
                other.exists(*numbered("bull:mail", 9))

    for with_queue, status in ((False, Status.CRIT), (True, Status.UNKNOWN)):
        if with_queue:
            client.hset("bull:mail:meta", "version", "bullmq:5.1.0")
        ended.clear()
        worker = threading.Thread(target=work)
        worker.start()
        try:
            found = cache.hit_rate(target, 0.5)
        finally:
            ended.set()
            worker.join()
        assert found.status is status, found.message
    assert "ACL SETUSER ops +monitor" in found.message


def test_the_eviction_policy_is_that_of_the_queues_server(server: Server, tmp_path: Path) -> None:
    server.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    server.run("HSET", "bull:mail:meta", "version", "bullmq:5.1.0")
    other = start(tmp_path / "queues")
    try:
        two = server.target().changed(queues={"url": Cache.of(other.target()).url})
        assert cache.eviction(two).status is Status.OK
        assert "evict jobs" in cache.eviction(server.target()).message
        server.run("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
        assert "evict locks of jobs" in cache.eviction(server.target()).message
    finally:
        other.kill()


def test_a_wrong_password_and_a_dead_server_are_one_sentence(tmp_path: Path) -> None:
    server = start(tmp_path / "locked", "--requirepass", "word")
    target = server.target(":wrong")
    with pytest.raises(ServiceError, match="refuses the login") as raised:
        cache.keys(target)
    assert "wrong" not in str(raised.value).replace("WRONGPASS", "")
    server.kill()
    with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        cache.keys(target)


def test_the_reason_is_not_what_failed_before() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target = Target(name="t").changed(
            redis_url=f"redis://127.0.0.1:{server.server_address[1]}/0"
        )
        try:
            raise BadAnswer("host", "`sh` on this machine failed: exit code 1.")
        except BadAnswer:
            with pytest.raises(Unreachable, match="cannot be reached: Connection") as raised:
                cache.keys(target)
        finally:
            server.shutdown()
    assert "sh" not in str(raised.value)


def test_a_snapshot_that_cannot_be_written_is_critical_and_writes_are_explained(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "disk"
    server = start(folder, "--save", "3600 1")
    try:
        before = cache.persistence(server.target())
        assert before.status is Status.OK
        assert "has written no RDB snapshot since it started" in before.message
        client = server.client()
        client.set("a", "b")
        server.run("BGSAVE")
        ends = time.monotonic() + 10
        while "last RDB snapshot" not in cache.persistence(server.target()).message:
            assert time.monotonic() < ends
            time.sleep(0.05)
        (folder / "dump.rdb").unlink()
        folder.rmdir()
        with pytest.raises(redis.ResponseError):
            client.save()
        server.run("BGSAVE")
        ends = time.monotonic() + 10
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
            assert time.monotonic() < ends
            time.sleep(0.05)
        found = cache.persistence(server.target())
        assert found.status is Status.CRIT
        assert "Redis failed to write its last RDB snapshot" in found.message
        with (
            pytest.raises(BadAnswer, match="cannot save its data; check its log and disk"),
            cache.connection(server.target()) as reader,
        ):
            reader.set("c", "d")
    finally:
        server.kill()


def test_a_server_that_still_loads_is_waited_for_by_people_not_by_us() -> None:
    class Loading(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(4096):
                self.request.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Loading) as loading:
        threading.Thread(target=loading.serve_forever, daemon=True).start()
        target = Target(name="shelf").changed(
            redis_url=f"redis://127.0.0.1:{loading.server_address[1]}"
        )
        record, (finding,) = act(target, cache.clear)
        loading.shutdown()
    assert record.state is ActionState.FAILED
    assert finding.message.endswith("is still loading its data; wait until it is done.")


# Looking


def test_clients_near_the_limit_are_a_warning(tmp_path: Path) -> None:
    server = start(tmp_path / "few", "--maxclients", "10")
    try:
        held = [server.client() for _ in range(8)]
        for client in held:
            client.ping()
        found = cache.clients(server.target())
    finally:
        server.kill()
    assert found.status is Status.WARN
    assert "clients of at most 10" in found.message


def test_keys_that_are_thrown_away_are_a_warning(tmp_path: Path) -> None:
    server = start(tmp_path / "small", "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random")
    assert cache.evictions(server.target(), 0.2).status is Status.OK
    ended = threading.Event()

    def write() -> None:
        with server.client() as client:
            number = 0
            while not ended.is_set():
                number += 1
                client.set(f"gemini:{number}", b"x" * 2000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(1)
        found = cache.evictions(server.target(), 1)
    finally:
        ended.set()
        writer.join()
        server.kill()
    assert found.status is Status.WARN
    assert found.value
    assert "maxmemory is too small" in found.message


def test_the_hit_rate_is_judged_by_enough_reads_only(shared: Server) -> None:
    client = shared.client()
    client.flushall()
    client.config_resetstat()
    found = cache.hit_rate(shared.target(), 0.3)
    assert (found.status, found.value) == (Status.OK, None)
    assert "too few; none ever" in found.message
    client.set("a", "b")
    client.mget(["a"] + ["nowhere"] * 9)
    assert cache.hit_rate(shared.target(), 0.3).status is Status.OK
    client.mget((["a"] + ["nowhere"] * 9) * 20)
    found = cache.hit_rate(shared.target(), 0.3)
    assert (found.status, found.value) == (Status.OK, None)  # of what may be long over
    assert "too few; 10.0 % since the start (210 reads)" in found.message

    def read() -> None:
        time.sleep(0.3)
        with shared.client() as other:
            other.mget(["a"] * 500)

    reader = threading.Thread(target=read)
    reader.start()
    found = cache.hit_rate(shared.target(), 1)
    reader.join()
    assert (found.status, found.value) == (Status.OK, 100.0)
    assert [row["hits"] for row in found.rows] == [500]


def test_one_key_is_described_without_its_value(shared: Server) -> None:
    client = shared.client()
    client.flushall()
    client.hset("gemini:1", mapping={"token": "hush"})
    client.expire("gemini:1", 600)
    found = cache.key(shared.target(), "gemini:1")
    assert found.message.startswith("'gemini:1' is a hash, ")
    assert found.message.endswith("bytes, and expires in 10 min.")
    assert "hush" not in found.model_dump_json()
    assert cache.key(shared.target(), "gone").message == "There is no key 'gone' now."


def test_keys_are_counted_by_database(shared: Server) -> None:
    shared.client().flushall()
    assert cache.keys(shared.target()).message == "Redis holds no keys."
    fill(shared.client(0), numbered("a", 3))
    fill(shared.client(12), numbered("b", 2))
    shared.client(12).expire("b:0", 100)
    found = cache.keys(shared.target())
    assert found.message == "Redis holds 5 keys in 2 databases; 4 of them never expire."
    assert [(row["db"], row["keys"], row["without_ttl"]) for row in found.rows] == [
        (0, 3, 3),
        (12, 2, 1),
    ]


@pytest.mark.parametrize(
    ("key", "family"),
    [
        ("gemini:analysis:scene:123", "gemini:analysis:scene:*"),
        ("project:42", "project:*"),
        ("user:6fa459ea-ee8a-3ca4-894e-db77e160355e:cart", "user:*:cart"),
        ("blob:9e107d9d372bb6826bd81d3542a419d6", "blob:*"),
        ("session:kJ8fA0zQx7LmN2pR5tVw", "session:*"),
        ("page/2024/11", "page/*/*"),
        ("gemini:analysis", "gemini:analysis"),
        ("a-long-name-without-any-id:latest", "a-long-name-without-any-id:latest"),
        ("facade:decade", "facade:decade"),
        ("", ""),
    ],
)
def test_a_family_is_a_key_without_its_ids(key: str, family: str) -> None:
    assert cache.family(key) == family


def test_families_have_counts_sizes_and_times_to_live(server: Server) -> None:
    client = server.client()
    fill(client, [*numbered("session", 60), *numbered("bull:mail", 40), b"bull:mail:meta"])
    for number in range(40):
        client.set(f"gemini:{number}", "x" * 1000, ex=100 * (number + 1))
    found = cache.families(server.target())
    assert found.message == "Redis holds 141 keys in 3 families (141 sampled)."
    rows = {row["family"]: row for row in found.rows}
    assert set(rows) == {"session:*", "gemini:*", "bull:mail:*"}
    assert rows["bull:mail:*"]["of_queues"]
    gemini = rows["gemini:*"]
    assert (gemini["keys"], gemini["with_ttl"], gemini["without_ttl"]) == (40, 40, 0)
    assert gemini["longest_ttl"] == "67 min"
    assert 40 < gemini["KiB"] < 60
    assert cache.families(server.target(), "nobody:*").message == "No key matches nobody:*."


def test_families_of_a_login_that_sees_the_cache_s_keys_alone(server: Server) -> None:
    fill(server.client(), [*numbered("price", 30), b"billing:session:1"])
    server.run("ACL", "SETUSER", "ops", "on", ">word", "~price:*", "+@all", "-@dangerous", "+info")
    target = server.target("ops:word")
    table = Cache.of(target).model_dump()
    for patterns, status in (
        (["price:*"], Status.OK),  # keys of another application are no leak of this cache
        (["price:*", "billing:*"], Status.UNKNOWN),
    ):
        found = cache.families(target.changed(cache={**table, "patterns": patterns}))
        assert [(row["family"], row["keys"]) for row in found.rows] == [("price:*", 30)]
        assert found.status is status
        assert "1 keys that user 'ops' may not read, such as billing:session:1" in found.message
        assert "ACL SETUSER ops allkeys" in found.message


def test_many_keys_are_estimated_from_a_sample_and_a_leak_is_a_warning(shared: Server) -> None:
    client = shared.client()
    client.flushall()
    fill(client, [*numbered("gemini", 24_000), *numbered("project", 6_000)])
    for found in (
        cache.families(shared.target(), sample=3000),
        cache.families(shared.target(), "gemini:*", sample=3000),
    ):
        (gemini,) = (row for row in found.rows if row["family"] == "gemini:*")
        assert 21_000 < gemini["keys"] < 27_000
        assert "holds about" in found.message
        assert found.status is Status.WARN
        assert "most of them gemini:*" in found.message


def test_other_databases_are_looked_at_too(shared: Server) -> None:
    shared.client().flushall()
    fill(shared.client(7), numbered("gemini", 5))
    assert cache.families(shared.target(), db="7").value == 5
    assert cache.family_rows(shared.target()) == []
    assert "is a string" in cache.key(shared.target(), "gemini:1", db="7").message


def test_monitor_is_bounded_shows_no_value_and_is_ended(server: Server) -> None:
    client = server.client()
    ended = threading.Event()

    def write() -> None:
        with server.client() as other:
            for number in range(100_000):
                if ended.is_set():
                    return
                other.set(f"session:{number}", "hush-hush")
                other.eval("return redis.call('get', KEYS[1])", 1, f"gemini:{number}")
                other.execute_command("ECHO", "hush-hush")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = cache.commands(server.target(), 200, 10)
    finally:
        ended.set()
        writer.join()
    assert found.value == 200
    seen = {row["command"] for row in found.rows}
    assert {"SET session:*", "EVAL gemini:*", "GET gemini:*", "ECHO"} <= seen
    assert "hush" not in found.model_dump_json()

    clock = time.monotonic()
    cache.commands(server.target(), 1000, 0.3)
    assert time.monotonic() - clock < 5
    assert not [one for one in client.client_list() if "O" in one["flags"]]
    assert cache.commands(server.target(), 0).status is Status.SKIPPED


def test_lookups_of_queues_are_none_of_the_cache(server: Server) -> None:
    client = server.client()
    fill(client, numbered("gemini", 10))
    ended = threading.Event()
    look = "for n = 1, 9 do redis.call('exists', KEYS[1] .. n) end"

    def work(cached: list[bytes], db: int) -> None:
        with server.client() as other, server.client(db) as queue:
            while not ended.wait(0.005):
                queue.eval(look, 1, "bull:mail:")
                other.mget(cached)
                if not other.get(lost):
                    other.set(lost, b"loaded", px=1)

    lost = b'gemini:lost "\xff\n'
    for db, cached, share in (
        (0, numbered("gemini", 9), 0.1),  # a tenth is loaded, written and gone before the next look
        (3, numbered("never", 9), 1.0),
    ):
        ended.clear()
        worker = threading.Thread(target=work, args=[cached, db])
        worker.start()
        try:
            seen = cache.losses(server.target(), 0.5)
        finally:
            ended.set()
            worker.join()
        assert seen.of_queues
        assert seen.misses == pytest.approx(share * seen.reads, rel=0.2)
        assert seen.misses >= 20


def test_where_monitor_is_not_permitted_all_lookups_count(server: Server) -> None:
    server.run("ACL", "SETUSER", "limited", "on", ">secret", "allkeys", "+@all", "-monitor")
    ended = threading.Event()

    def work() -> None:
        with server.client() as other:
            while not ended.wait(0.005):
                other.exists(*numbered("bull:mail", 9))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        seen = cache.losses(server.target("limited:secret"), 0.5)
        known = cache.losses(server.target(), 0.5)
    finally:
        ended.set()
        worker.join()
    assert seen.misses == seen.reads > 20
    assert not seen.of_queues
    assert (known.reads, known.misses, known.of_queues) == (0, 0, True)


def test_slow_commands_are_shown_without_their_arguments(server: Server) -> None:
    client = server.client()
    client.config_set("slowlog-log-slower-than", 0)
    client.set("session:77", "hush-hush")
    found = cache.slow_log(server.target())
    assert {"command": "SET", "keys": "session:*"}.items() <= next(
        row for row in found.rows if row["command"] == "SET"
    ).items()
    assert "hush" not in found.model_dump_json()
    assert found.status is Status.OK
    client.config_set("slowlog-log-slower-than", 50_000)
    client.eval("local n = 0 for i = 1, 60000000 do n = n + i end return n", 0)
    found = cache.slow_log(server.target())
    assert found.status is Status.WARN
    assert "every client waited" in found.message


def test_a_key_without_a_time_to_live_never_expires() -> None:
    assert [lifetime(seconds) for seconds in (None, 900)] == ["never expires", "15 min"]
