"""Queues are counted on a Redis that shows little, and what is not shown is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opsnb.checks.check import Check
from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Status
from opsnb.systems import queues
from opsnb.systems.cache.settings import Cache
from opsnb.systems.queues.settings import Queues
from tests import queue_jobs
from tests.bullmq import VERSIONS, Service
from tests.systems import redis_server
from tests.systems.redis_server import Server

MAIL = "mail"


@pytest.fixture(scope="module", params=redis_server.BINARIES, ids=lambda path: Path(path).name)
def server(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Server]:
    """A server of each kind, with the queue `mail`: 40 jobs wait, 3 failed."""
    started = redis_server.start(tmp_path_factory.mktemp("redis"), binary=request.param)
    yield started
    started.kill()


@pytest.fixture
def shelf(server: Server) -> Server:
    """The server, with nothing on it but the queue `mail`, and no logins."""
    client: Any = server.client()
    client.flushall()
    for user in client.acl_users():
        if user != "default":
            client.acl_deluser(user)
    write(server, MAIL, waiting=40, failed=3)
    return server


def write(server: Server, queue: str, *, waiting: int = 0, failed: int = 0, **fields: Any) -> None:
    """Write a queue with so many jobs, as BullMQ 5 keeps it."""
    target = server.target()
    queue_jobs.write(target, queue, failed, reason="mailbox full", age_s=60)
    client: Any = server.client()
    key = f"bull:{queue}"
    client.hset(f"{key}:meta", mapping={"version": "bullmq:5.7.1", **fields})
    client.set(f"{key}:id", waiting + failed)
    for job in range(failed + 1, failed + waiting + 1):
        client.hset(f"{key}:{job}", mapping={"name": "send", "data": "{}", "timestamp": 1})
        client.lpush(f"{key}:wait", job)


def allowed(server: Server, *rules: str) -> Target:
    """Return the target with a login that may do only so much."""
    server.run("ACL", "SETUSER", "ops", "reset", "on", ">ops", *rules)
    return server.target("ops:ops")


def measured(target: Target, *checks: Check[[]]) -> list[Finding]:
    return list(Measurement(target).run([check.given() for check in checks]))


def test_without_client_list_only_the_workers_are_unknown(shelf: Server) -> None:
    target = allowed(shelf, "~*", "&*", "+@all", "-client|list")
    depth, failures, workers, pauses = measured(
        target, queues.depth, queues.failures, queues.workers, queues.pauses
    )
    assert (depth.value, depth.status) == (40, Status.OK)
    assert "3 of 43" in failures.message
    assert pauses.status is Status.OK
    assert workers.status is Status.UNKNOWN
    assert "ACL SETUSER ops +client|list" in workers.message
    assert workers.rows[0]["workers"] == "unknown"
    assert "no worker" not in depth.message


def test_a_server_that_has_no_client_command_is_read(tmp_path: Path) -> None:
    for binary in redis_server.BINARIES:
        started = redis_server.start(
            tmp_path / Path(binary).name, "--rename-command", "CLIENT", "", binary=binary
        )
        try:
            write(started, MAIL, waiting=40, failed=3)
            depth, workers = measured(started.target(), queues.depth, queues.workers)
            assert depth.value == 40
            assert workers.status is Status.UNKNOWN
            assert "has no command CLIENT LIST" in workers.message
        finally:
            started.kill()


@pytest.mark.parametrize(
    "refused", ["-info", "-time", "-eval -eval_ro", "-@scripting", "-client|setname", "-client"]
)
def test_what_is_refused_stops_nothing_else(shelf: Server, refused: str) -> None:
    target = allowed(shelf, "~*", "&*", "+@all", *refused.split())
    for found in measured(target, queues.depth, queues.failures, queues.oldest, queues.pauses):
        assert found.status in (Status.OK, Status.CRIT), found.message
    assert "mailbox full" in queues.reasons(target, MAIL).message
    assert [row["reason"] for row in queues.failed_jobs(target, MAIL)] == ["mailbox full"] * 3


def test_without_scan_the_queues_are_to_be_named(shelf: Server) -> None:
    target = allowed(shelf, "~*", "&*", "+@all", "-scan")
    with pytest.raises(BadAnswer, match=r"SCAN.*queues = "):
        queues.depth(target)
    assert queues.depth(target.changed(queues=(MAIL,))).value == 40


def test_keys_that_a_login_may_not_read_are_said(shelf: Server) -> None:
    write(shelf, "secret", waiting=900)
    target = allowed(shelf, "~bull:mail:*", "&*", "+@all")
    depth, pauses = measured(target, queues.depth, queues.pauses)
    assert (depth.value, depth.status) == (40, Status.UNKNOWN)
    assert "ACL SETUSER ops ~bull:secret:*" in depth.message
    assert pauses.status is Status.UNKNOWN
    assert queues.depth(target.changed(queues=(MAIL,))).status is Status.OK


def test_no_right_on_any_key_is_unknown(shelf: Server) -> None:
    target = allowed(shelf, "~shop:*", "&*", "+@all")
    (depth, *_) = measured(target, queues.depth)
    assert depth.status is Status.UNKNOWN


NAMES = ("mail:send", "a.b", "with blank", "größe", "st*r[1]?", "x:meta", "back\\slash")


@pytest.mark.parametrize("name", NAMES)
def test_a_queue_of_any_name_is_found(shelf: Server, name: str) -> None:
    write(shelf, name, waiting=600, failed=12)
    depth = queues.depth(shelf.target())
    assert depth.status is Status.CRIT
    assert depth.message.startswith(f"Queue {name} has 600 waiting jobs")
    assert queues.state(shelf.target(), name).value == 612


def test_a_job_with_an_id_like_a_queue_s_key_is_no_queue(shelf: Server) -> None:
    client: Any = shelf.client()
    for job in ("order:meta", "meta:meta"):
        client.hset(f"bull:mail:{job}", mapping={"name": "n", "data": "{}", "timestamp": 1})
    client.hset("bull:cache:meta", "colour", "red")  # another program's
    assert queues.queues_of(shelf.target()) == [MAIL]


def test_a_queue_of_long_ago_without_meta_is_found(shelf: Server) -> None:
    client: Any = shelf.client()
    client.delete("bull:mail:meta")
    assert queues.queues_of(shelf.target()) == [MAIL]
    client.hset("bull:mail:meta", "opts.maxLenEvents", "10000")
    assert queues.queues_of(shelf.target()) == [MAIL]


def test_a_search_that_stops_says_so(shelf: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsnb.systems.queues.discovery._MOST_QUEUES", 2)
    for number in range(4):
        write(shelf, f"q{number}", waiting=1)
    found = queues.depth(shelf.target())
    assert found.status is Status.UNKNOWN
    assert "3 more queues" in found.message


def test_named_queues_that_are_not_there_are_said(shelf: Server) -> None:
    target = shelf.target().changed(queues=(MAIL, "mial"))
    found = queues.depth(target)
    assert (found.value, found.status) == (40, Status.UNKNOWN)
    assert "mial of opsnb.toml: not in Redis" in found.message
    with pytest.raises(BadAnswer, match="not in Redis under the prefix 'shop'"):
        queues.depth(target.changed(queue_prefix="shop"))


def test_markers_of_bullmq_4_are_no_jobs(shelf: Server) -> None:
    client: Any = shelf.client()
    client.rpush("bull:mail:wait", "0:0")
    assert queues.depth(shelf.target()).value == 40
    assert client.llen("bull:mail:wait") == 41  # and nothing was written


def test_a_replica_has_no_workers_and_says_when_it_lost_its_primary(
    shelf: Server, tmp_path: Path
) -> None:
    replica = redis_server.start(tmp_path / "replica", "--replicaof", f"127.0.0.1 {shelf.port}")
    client: Any = replica.client()
    while client.info("replication")["master_link_status"] != "up":
        pass
    depth, workers = measured(replica.target(), queues.depth, queues.workers)
    assert (depth.status, depth.value) == (Status.OK, 40)
    assert workers.status is Status.UNKNOWN
    assert "this Redis is a replica" in workers.message
    client.replicaof("127.0.0.1", 1)
    while client.info("replication")["master_link_status"] != "down":
        pass
    depth, pauses = measured(replica.target(), queues.depth, queues.pauses)
    assert depth.status is pauses.status is Status.UNKNOWN
    assert "a replica that lost its primary, 127.0.0.1:1" in depth.message
    replica.kill()


@pytest.mark.parametrize("version", ["bullmq-pro:7.46.3", "bullmq:5.7.1"])
def test_jobs_that_wait_in_groups_are_not_none(shelf: Server, version: str) -> None:
    client: Any = shelf.client()
    client.flushall()
    write(shelf, MAIL, version=version)
    if "pro" not in version:
        client.zadd("bull:mail:groups", {"customer-1": 1})
    (found,) = measured(shelf.target(), queues.depth)
    assert found.status is Status.UNKNOWN
    assert "jobs of mail that wait in groups" in found.message


def test_a_worker_without_a_name_is_not_none(shelf: Server) -> None:
    target = shelf.target()
    assert "No worker is connected for mail" not in queues.state(target, MAIL).message
    assert queues.counts_of(target, MAIL)["workers"] == 0
    queue_jobs.write_active(target, MAIL, "900", age_s=5, lock_s=60)
    assert queues.counts_of(target, MAIL)["workers"] is None
    found = queues.workers(target)
    assert found.status is Status.UNKNOWN
    assert "have no name" in found.message


def removed(server: Server, failed: int, added: int, ended: list[str], first: int = 1) -> Target:
    """Write a queue whose completed jobs are removed."""
    client: Any = server.client()
    client.flushall()
    if failed:
        queue_jobs.write(server.target(), MAIL, failed, age_s=60, first=first)
    client.hset("bull:mail:meta", "version", "bullmq:6.7.0")
    if added:
        client.set("bull:mail:id", added)
    else:
        client.delete("bull:mail:id")
    for number, event in enumerate(ended):
        client.xadd("bull:mail:events", {"event": event, "jobId": number})
    return server.target()


def test_the_rate_where_completed_jobs_are_removed(shelf: Server) -> None:
    few = queues.failures(removed(shelf, 3, 2000, ["completed"] * 100))
    assert (few.status, few.value) == (Status.OK, 0.15)
    assert "3 of 2000" in few.message
    lately = queues.failures(removed(shelf, 500, 2_000_000, ["failed"] * 90 + ["completed"] * 10))
    assert (lately.status, lately.value) == (Status.CRIT, 90)
    none = queues.failures(removed(shelf, 0, 2000, ["completed"] * 5))
    assert (none.status, none.message) == (Status.OK, "No failed job in any queue.")


def test_a_rate_that_nothing_tells_is_unknown_and_the_failed_are_named(shelf: Server) -> None:
    found = queues.failures(removed(shelf, 3, 0, []))
    assert found.status is Status.UNKNOWN
    assert "mail: 3 failed jobs" in found.message
    assert "jobs that ended are removed" in found.message
    assert found.rows[0]["failed"] == 3
    assert found.rows[0]["failed_percent"] is None
    assert queues.failures(removed(shelf, 0, 2000, [])).status is Status.UNKNOWN


def test_queues_on_a_server_of_their_own(shelf: Server, tmp_path: Path) -> None:
    other = redis_server.start(tmp_path / "other")
    try:
        target = other.target().changed(queues={"url": Cache.of(shelf.target()).url})
        assert queues.depth(target).value == 40
        other.kill()
        assert queues.depth(target).value == 40
    finally:
        other.kill()


def test_text_of_any_kind_breaks_nothing(shelf: Server) -> None:
    client: Any = shelf.client()
    client.hset(
        "bull:mail:1", mapping={"failedReason": b"\xff\x00\x1b[31m\n", "stacktrace": b'["\xfe'}
    )
    client.hset("bull:mail:2", mapping={"finishedOn": "soon", "atm": "many", "name": b"\xc3"})
    client.hset("bull:mail:3", mapping={"timestamp": "1e3", "processedOn": "nan"})
    target = shelf.target()
    assert queues.failures_of(target, MAIL).read == 3
    assert queues.failed_jobs(target, MAIL)
    assert queues.reasons(target, MAIL).status is Status.OK
    assert queues.oldest(target).status is Status.OK


@pytest.fixture(params=VERSIONS)
def mail(shelf: Server, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service on each major version of BullMQ, on the empty server."""
    client: Any = shelf.client()
    client.flushall()
    with Service(request.param, Cache.of(shelf.target()).url) as service:
        yield service


def test_every_version_s_jobs_are_counted_where_it_has_them(mail: Service, shelf: Server) -> None:
    mail.add(MAIL, 3)
    mail.add(MAIL, 2, priority=4)
    mail.add(MAIL, 4, delay=3_600_000)
    mail.add(MAIL, 1, jobId="order-7")
    for paused in (False, True):
        if paused:
            mail.queue(MAIL, "pause")
        theirs, row = mail.counts(MAIL), queues.counts_of(shelf.target(), MAIL)
        waiting = theirs["waiting"] + theirs["prioritized"] + theirs.get("paused", 0)
        assert (row["waiting"], row["prioritized"]) == (waiting, 2) == (6, 2)
        assert (row["delayed"], row["paused"], row["total"]) == (4, paused, 10)
    assert queues.queues_of(shelf.target()) == [MAIL]


def test_a_named_and_an_unnamed_worker_are_seen(mail: Service, shelf: Server) -> None:
    mail.add(MAIL, 1)
    mail.work(MAIL)
    mail.until_idle(MAIL)
    assert queues.counts_of(shelf.target(), MAIL)["workers"] == 1
    assert queues.workers(shelf.target()).status is Status.OK
    hidden = allowed(shelf, "~*", "&*", "+@all", "-client|list")
    assert queues.counts_of(hidden, MAIL)["workers"] is None


def test_workers_of_another_database_are_not_ours(mail: Service, shelf: Server) -> None:
    mail.add(MAIL, 60)
    with Service(mail.version, f"{Queues.of(shelf.target()).url}/1") as staging:
        staging.work(MAIL)
        found = queues.workers(shelf.target())
        assert found.status is Status.CRIT
        assert found.message == "Queue mail has 60 waiting jobs and no worker."
        mail.add("afterwards", 1)
        mail.add("before", 90)
        message = queues.workers(shelf.target()).message
        assert message.startswith("Queue before has 90 waiting jobs and no worker; ")
        assert message.endswith("mail and afterwards have waiting jobs and no worker either.")
        staging.add(MAIL)
        assert queues.counts_of(shelf.target(db=1), MAIL)["workers"] == 1


def test_delayed_jobs_that_are_overdue_are_due(mail: Service, shelf: Server) -> None:
    ids = mail.add(MAIL, 600, delay=1000)
    mail.add(MAIL, 2, delay=3_600_000)
    assert queues.counts_of(shelf.target(), MAIL)["overdue"] == 0
    client: Any = shelf.client()
    for job in ids:  # two hours go by
        client.zincrby("bull:mail:delayed", -7_200_000 * 4096, job)
    row = queues.counts_of(shelf.target(), MAIL)
    assert (row["waiting"], row["delayed"], row["overdue"]) == (0, 602, 600)
    depth, workers = measured(shelf.target(), queues.depth, queues.workers)
    assert (depth.status, depth.value) == (Status.CRIT, 600)
    assert depth.message == "Queue mail has 600 delayed jobs that are overdue and no worker."
    assert workers.status is Status.CRIT


def test_jobs_that_a_service_removes_are_in_the_rate(mail: Service, shelf: Server) -> None:
    mail.add(MAIL, 60, removeOnComplete=True)
    mail.add(MAIL, 3, data={"fail": "mailbox full"}, attempts=1)
    mail.work(MAIL)
    mail.until_idle(MAIL)
    found = queues.failures(shelf.target())
    assert found.value == pytest.approx(100 * 3 / 63, abs=0.01)
    assert "3 of 63" in found.message
