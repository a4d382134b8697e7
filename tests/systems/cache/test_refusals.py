"""What a server refuses is one sentence and stops nothing else."""

from __future__ import annotations

import socketserver
import threading
import time
from pathlib import Path

import pytest
import redis

from opsnb.checks.check import Check
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.demo.home import free_port
from opsnb.errors import BadAnswer, ServiceError, Unreachable
from opsnb.model import ActionState, Status
from opsnb.systems import cache
from opsnb.systems.cache.settings import Cache
from tests.systems.cache.filling import act, fill, numbered
from tests.systems.redis_server import Server, start


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
    why = f"The action failed: {record.error}"
    assert effect.message == f"10 keys that should be gone are still there. {why}"

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
