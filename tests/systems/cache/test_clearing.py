"""The cache is cleared as its runbook says, on real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import ParameterError, Refused
from opsnb.model import ActionRecord, ActionState, Status
from opsnb.systems import cache
from opsnb.systems.cache import clearing, unlinking
from opsnb.systems.cache.settings import Cache
from tests.systems.cache.filling import act, fill, numbered
from tests.systems.redis_server import Server, start


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
    adapt = unlinking.PingPace.adapt

    def adapting(pace: unlinking.PingPace) -> None:
        seen.append(1)
        if len(seen) == batches:
            assert callable(stop)
            stop()
        adapt(pace)

    monkeypatch.setattr(unlinking.PingPace, "adapt", adapting)


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
    pace = unlinking.PingPace(server)  # type: ignore[arg-type]
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
