"""What the checks of the cache report, on real servers."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from opsnb.model import Status
from opsnb.systems import cache
from opsnb.systems.cache import keyspace
from opsnb.systems.cache.keyspace import lifetime
from opsnb.systems.cache.settings import Cache
from tests.systems.cache.filling import fill, numbered
from tests.systems.redis_server import Server, start


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
    assert found.message == (
        "Cache: no reads in 0.3 s, too few for the hit rate to matter; no reads since the start."
    )
    client.set("a", "b")
    client.mget(["a"] + ["nowhere"] * 9)
    assert cache.hit_rate(shared.target(), 0.3).status is Status.OK
    client.mget((["a"] + ["nowhere"] * 9) * 20)
    found = cache.hit_rate(shared.target(), 0.3)
    assert (found.status, found.value) == (Status.OK, None)  # of what may be long over
    assert "too few for the hit rate to matter; 10.0 % since the start (210 reads)" in found.message

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
    assert keyspace.family(key) == family


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
        # A short sample begins and ends within a round; the queues' lookups would make it half.
        assert seen.misses == pytest.approx(share * seen.reads, rel=0.4)
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
