"""Actions keep the layout of the BullMQ that keeps a queue: 4, 5 and 6, or both lists at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from opsnb.actions.action import Action, Permit, Plan, action
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems import queues
from opsnb.systems.queues import holding, layout
from opsnb.systems.queues.connection import reading
from opsnb.systems.queues.settings import Queues
from tests.bullmq import VERSIONS, Service
from tests.systems import redis_server
from tests.systems.redis_server import Server

MAIL = "mail"
MOVES = [
    queues.pause,
    queues.resume,
    queues.retry_failed,
    queues.clean_failed,
    queues.remove_stuck,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = redis_server.start(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def target(server: Server) -> Target:
    server.run("FLUSHALL")
    return server.target()


@pytest.fixture
def bull(target: Target) -> Iterator[Any]:
    """A client that sees what is kept."""
    with redis.Redis.from_url(Queues.of(target).url, decode_responses=True) as client:
        yield client


@pytest.fixture(params=VERSIONS)
def mail(target: Target, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service that keeps the queue, of each version."""
    with Service(request.param, Queues.of(target).url) as service:
        service.add(MAIL, 0)
        service.queue(MAIL, "waitUntilReady")
        yield service


def act(target: Target, action: Action[Any], *args: Any, **kwargs: Any) -> ActionRecord:
    return acted(target, action, *args, **kwargs)[0]


def acted(
    target: Target, action: Action[Any], *args: Any, **kwargs: Any
) -> tuple[ActionRecord, Finding]:
    record, (*_, found) = Guard(target, True, "", lambda _: None).act(action, *args, **kwargs)
    return record, found


def fail(service: Service, count: int = 1, queue: str = MAIL, **options: Any) -> list[str]:
    """Add jobs and let them fail."""
    ids = service.add(queue, count, data={"fail": True}, **options)
    service.work(queue)
    service.until_idle(queue)
    service.stop(queue)
    return ids


def waiting(service: Service, queue: str = MAIL) -> list[str]:
    """Return the jobs that its own version sees waiting."""
    return service.ids(queue, "waiting", "prioritized", "paused")


def worked_off(service: Service, queue: str = MAIL) -> list[str]:
    """Let a worker take all there is, and return what it completed."""
    service.work(queue)
    service.until_idle(queue)
    service.stop(queue)
    return service.ids(queue, "completed")


def keys(bull: Any) -> dict[str, object]:
    """Return all that is kept."""
    return {key: bull.dump(key) for key in bull.scan_iter()}


# the service's own steps and ours, one after the other


def test_the_service_resumes_what_opsnb_paused(mail: Service, target: Target) -> None:
    ids = mail.add(MAIL, 6)
    assert act(target, queues.pause, MAIL).verified
    assert mail.queue(MAIL, "isPaused")
    ids += mail.add(MAIL, 3)
    ids += mail.add(MAIL, 2, priority=4)
    assert queues.counts_of(target, MAIL)["waiting"] == 11
    mail.work(MAIL)
    mail.queue(MAIL, "resume")
    mail.until_idle(MAIL)
    assert mail.ids(MAIL, "completed") == sorted(ids)


def test_opsnb_resumes_what_the_service_paused(mail: Service, target: Target) -> None:
    ids = mail.add(MAIL, 6) + mail.add(MAIL, priority=4)
    mail.queue(MAIL, "pause")
    ids += mail.add(MAIL, 3)
    mail.work(MAIL)
    assert act(target, queues.resume, MAIL).verified
    mail.until_idle(MAIL)
    assert mail.ids(MAIL, "completed") == sorted(ids)


def test_what_is_retried_in_a_paused_queue_waits_for_the_services_resume(
    mail: Service, target: Target
) -> None:
    ids = fail(mail, 5) + fail(mail, 2, priority=7) + fail(mail, lifo=True)
    mail.queue(MAIL, "pause")
    ids += mail.add(MAIL, 3)
    record = act(target, queues.retry_failed, MAIL)
    assert (record.planned, record.applied, record.verified) == (8, 8, True)
    assert waiting(mail) == sorted(ids)
    mail.queue(MAIL, "resume")
    assert waiting(mail) == sorted(ids)


def test_retried_jobs_wake_an_idle_worker_and_keep_their_priority(
    mail: Service, target: Target, bull: Any
) -> None:
    ids = fail(mail, 2, priority=7)
    assert act(target, queues.retry_failed, MAIL).applied == 2
    assert bull.zrange("bull:mail:prioritized", 0, -1) == ids
    mail.work(MAIL)
    mail.until_idle(MAIL)
    assert mail.ids(MAIL, "failed") == sorted(ids)
    act(target, queues.retry_failed, MAIL)
    mail.until_idle(MAIL)
    assert mail.runs(MAIL)[ids[0]] == {"began": 3, "failed": 3}


def test_a_pause_keeps_an_idle_worker_from_taking(mail: Service, target: Target) -> None:
    mail.work(MAIL)
    mail.until_idle(MAIL)
    act(target, queues.pause, MAIL)
    ids = mail.add(MAIL, 3) + mail.add(MAIL, priority=2) + mail.add(MAIL, delay=1)
    mail.add("other", 1)
    mail.work("other")
    mail.until_idle("other")
    assert mail.runs(MAIL) == {}
    assert act(target, queues.resume, MAIL).verified
    mail.until_idle(MAIL)
    assert mail.ids(MAIL, "completed") == sorted(ids)


def test_workers_and_dashboards_are_told_of_a_pause_and_a_resume(
    mail: Service, target: Target, bull: Any
) -> None:
    mail.add(MAIL)
    act(target, queues.pause, MAIL)
    act(target, queues.resume, MAIL)
    events = [fields["event"] for _, fields in bull.xrange("bull:mail:events")]
    assert events[-2:] == ["paused", "resumed"]
    assert set(bull.hgetall("bull:mail:meta")) == {"opts.maxLenEvents", "version"}


def test_names_and_ids_are_of_any_letters(mail: Service, target: Target) -> None:
    for queue in ("mail.new", "new mail", "почта"):
        ids = sorted(["a b", "заказ-7", "x" * 300, "repeat:a:b"])
        for job in ids:
            mail.add(queue, jobId=job, data={"fail": True})
        mail.work(queue)
        mail.until_idle(queue)
        mail.stop(queue)
        act(target, queues.pause, queue)
        assert act(target, queues.retry_failed, queue).applied == len(ids)
        act(target, queues.resume, queue)
        assert waiting(mail, queue) == ids
        mail.work(queue)
        mail.until_idle(queue)
        assert act(target, queues.clean_failed, queue, older_than=0).applied == len(ids)
        assert mail.ids(queue, "failed") == []


def test_the_last_child_that_is_removed_lets_its_parent_wait_where_it_belongs(
    mail: Service, target: Target, bull: Any
) -> None:
    mail.queue("whole", "pause")
    child = {"name": "part", "queueName": MAIL, "data": {"hold": True}}
    family = mail.flow({"name": "whole", "queueName": "whole", "children": [child]})
    with Service(mail.version, Queues.of(target).url) as dying:
        dying.work(MAIL)
        while not mail.counts(MAIL)["active"]:
            pass
        dying.kill()
    (part,) = (one["id"] for one in family["children"])
    bull.delete(f"bull:mail:{part}:lock")
    assert act(target, queues.remove_stuck, MAIL, longer_than_min=0).applied == 1
    assert waiting(mail, "whole") == [family["id"]]
    mail.queue("whole", "resume")
    assert worked_off(mail, "whole") == [family["id"]]


def test_a_queue_is_held_and_released_with_all_that_the_service_adds(
    mail: Service, target: Target
) -> None:
    ids = mail.add(MAIL, 4)

    def work(permit: Permit) -> Iterator[int]:
        with holding.holding(target, permit, [MAIL], "for a test"):
            ids.extend(mail.add(MAIL, 3))
            assert holding.held(target, [MAIL], "for a test") == [MAIL]
            yield 1

    @action()
    def hold(target: Target, former: ActionRecord | None) -> Plan:
        """Hold a queue"""
        names, refusal = holding.to_hold(target, [MAIL], [])
        assert (names, refusal) == ([MAIL], "")
        return Plan("", 1, "queues", "", "", work, lambda: [])

    assert Guard(target, True, "", lambda _: None).act(hold)[0].applied == 1
    assert not mail.queue(MAIL, "isPaused")
    assert worked_off(mail) == sorted(ids)


# both lists at once


def fill(bull: Any, version: str, counts: dict[str, int], *, paused: bool) -> list[str]:
    """Write jobs into the lists of a queue that this version keeps."""
    ids = []
    for name, count in counts.items():
        some = [f"{name}{number}" for number in range(count)]
        for job in some:
            bull.hset(f"bull:mail:{job}", mapping={"name": "work", "data": "{}", "opts": "{}"})
        if some:
            bull.lpush(f"bull:mail:{name}", *some)
        ids += some
    bull.hset("bull:mail:meta", mapping={"opts.maxLenEvents": 10000, "version": version})
    if paused:
        bull.hset("bull:mail:meta", "paused", 1)
    return ids


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("version", ["bullmq:4.18.3", "bullmq:5.81.5", "bullmq:6.7.0"])
@pytest.mark.parametrize(
    "counts", [{"wait": 3, "paused": 2}, {"wait": 7000, "paused": 12_000}, {"paused": 7000}]
)
def test_jobs_in_both_lists_are_counted_and_all_there_after_a_resume(
    target: Target, bull: Any, version: str, counts: dict[str, int], paused: bool
) -> None:
    ids = fill(bull, version, counts, paused=paused)
    assert queues.counts_of(target, MAIL)["waiting"] == len(ids)
    record = act(target, queues.resume, MAIL)
    assert (record.planned, record.verified) == (1, True)
    # What was set apart is older, and is taken first.
    taken = list(reversed(bull.lrange("bull:mail:wait", 0, -1)))
    assert taken == sorted(ids, key=lambda job: (job[0] != "p", int(job.lstrip("waitpused"))))
    assert not bull.exists("bull:mail:paused")
    assert not bull.hexists("bull:mail:meta", "paused")


@pytest.mark.parametrize("version", ["bullmq:4.18.3", "bullmq:5.81.5", "bullmq:6.7.0"])
def test_a_pause_loses_nothing_of_what_a_resume_has_left_apart(
    target: Target, bull: Any, version: str
) -> None:
    ids = fill(bull, version, {"wait": 300, "paused": 6000}, paused=False)
    assert act(target, queues.pause, MAIL).verified
    assert queues.counts_of(target, MAIL)["waiting"] == len(ids)
    assert act(target, queues.resume, MAIL).verified
    assert set(bull.lrange("bull:mail:wait", 0, -1)) == set(ids)


def test_a_resume_that_is_interrupted_between_two_calls_has_lost_nothing(
    target: Target, bull: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill(bull, "bullmq:5.81.5", {"wait": 500, "paused": 400}, paused=True)
    monkeypatch.setattr(layout, "_MOST_MOVED", 100)
    monkeypatch.setattr(layout, "_MOST_CALLS", 3)
    record, found = acted(target, queues.resume, MAIL)
    assert (record.verified, found.status) == (False, Status.CRIT)
    assert bull.hexists("bull:mail:meta", "paused")
    assert queues.counts_of(target, MAIL)["waiting"] == 900
    monkeypatch.undo()
    assert act(target, queues.resume, MAIL).verified
    assert set(bull.lrange("bull:mail:wait", 0, -1)) == set(ids)


def test_a_paused_queue_to_which_another_version_adds_is_told(target: Target, bull: Any) -> None:
    fill(bull, "bullmq:5.81.5", {"wait": 3, "paused": 2}, paused=True)
    record, found = acted(target, queues.pause, MAIL)
    assert (record.planned, found.status) == (0, Status.WARN)
    assert "3 of its jobs are in `wait`" in found.message
    with reading(target) as session:
        seen = session.run(layout.read(session.queue(MAIL)))
    assert "might lose 2 jobs" in seen.loses_by_service


def test_markers_of_version_4_are_no_jobs(mail: Service, target: Target, bull: Any) -> None:
    if mail.version > 4:
        pytest.skip("version 4 alone has them")
    ids = mail.add(MAIL, priority=1)
    mail.add(MAIL, delay=3_600_000)
    assert bull.lrange("bull:mail:wait", 0, -1) == ["0:0"]
    act(target, queues.pause, MAIL)
    with reading(target) as session:
        seen = session.run(layout.read(session.queue(MAIL)))
    assert (seen.in_wait, seen.in_paused, seen.is_mixed) == (0, 0, False)
    bull.lpush("bull:mail:wait", "0:0")
    act(target, queues.resume, MAIL)
    mail.work(MAIL)
    while mail.ids(MAIL, "completed") != ids:
        pass


# a version that is not known


@pytest.mark.parametrize("version", ["", "bullmq:3.15.8", "bullmq:7.0.0", "bullmq-pro:7.1.0", "6"])
@pytest.mark.parametrize("action", MOVES)
def test_an_unknown_version_is_planned_and_refused_and_nothing_changed(
    target: Target, bull: Any, action: Action[Any], version: str
) -> None:
    fill(bull, version, {"wait": 3, "paused": 1}, paused=action is queues.resume)
    if not version:
        bull.hdel("bull:mail:meta", "version")
    bull.zadd("bull:mail:failed", {"wait0": 1})
    bull.lpush("bull:mail:active", "gone")
    before = keys(bull)
    plan = action(target, MAIL)
    assert plan.planned == 1
    why = version or "does not say which version of BullMQ keeps mail"
    assert why in plan.refusal
    with pytest.raises(Refused, match=f"^Refused, nothing changed: .*{why}"):
        act(target, action, MAIL)
    with pytest.raises(Refused):
        act(target, queues.limit, MAIL, 3)
    assert keys(bull) == before


def test_a_queue_of_bull_is_not_given_a_version(target: Target, bull: Any) -> None:
    bull.set("bull:mail:id", 3)
    bull.lpush("bull:mail:wait", "1", "2", "3")
    refusal = queues.retry_failed(target, MAIL).refusal
    assert "may be a queue of Bull" in refusal
    assert "HSET" not in refusal
    bull.hset("bull:mail:meta", "opts.maxLenEvents", 10_000)
    assert "HSET bull:mail:meta version" in queues.retry_failed(target, MAIL).refusal


def test_a_version_that_is_gone_when_the_step_comes_changes_nothing(
    target: Target, bull: Any
) -> None:
    fill(bull, "bullmq:5.81.5", {"wait": 3}, paused=False)

    def lose(record: ActionRecord) -> None:
        if record.state == "applying":
            bull.hdel("bull:mail:meta", "version")

    record, _ = Guard(target, True, "", lose).act(queues.pause, MAIL)
    assert not record.verified
    assert "no longer says which version" in (record.error or "")
    assert bull.llen("bull:mail:wait") == 3


def test_version_4_has_no_limit_for_a_whole_queue(mail: Service, target: Target) -> None:
    mail.add(MAIL)
    if mail.version == 4:
        with pytest.raises(Refused, match="Set `concurrency` of its workers"):
            act(target, queues.limit, MAIL, 3)
    else:
        assert act(target, queues.limit, MAIL, 3).verified
        assert mail.queue(MAIL, "getGlobalConcurrency") == 3


@pytest.mark.parametrize(("version", "knows"), [("5.8.7", False), ("5.9.0", True), ("6.1.0", True)])
def test_a_limit_that_workers_would_ignore_is_refused(
    target: Target, bull: Any, version: str, knows: bool
) -> None:
    fill(bull, f"bullmq:{version}", {"wait": 3}, paused=False)
    if knows:
        assert act(target, queues.limit, MAIL, 3).verified
    else:
        with pytest.raises(Refused, match=r"before 5\.9 has no limit"):
            act(target, queues.limit, MAIL, 3)
        assert not bull.hexists("bull:mail:meta", "concurrency")


def test_a_login_without_script_load_may_act_as_bullmq_itself(
    mail: Service, target: Target, server: Server
) -> None:
    fail(mail, 3)
    rights = ("~bull:*", "&*", "+@all", "-@admin", "-script")
    server.run("ACL", "SETUSER", "app", "reset", "on", ">app", *rights)
    server.run("SCRIPT", "FLUSH")
    app = server.target("app:app")
    assert act(app, queues.pause, MAIL).verified
    assert act(app, queues.resume, MAIL).verified
    assert act(app, queues.retry_failed, MAIL).applied == 3


@pytest.mark.parametrize("binary", redis_server.BINARIES, ids=lambda path: Path(path).name)
def test_a_full_server_can_be_paused_and_cleaned(tmp_path: Path, binary: str) -> None:
    server = redis_server.start(tmp_path / "redis", binary=binary)
    target = server.target()
    with Service(5, Queues.of(target).url) as mail:
        fail(mail, 20)
        mail.queue(MAIL, "waitUntilReady")
        server.run("SCRIPT", "FLUSH")
        server.run("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            server.run("SET", "one", "more")
        record = act(target, queues.pause, MAIL)
        assert (record.applied, record.verified) == (1, True), record.error
        record = act(target, queues.clean_failed, MAIL, older_than=0)
        assert (record.applied, record.verified) == (20, True), record.error
        record = act(target, queues.resume, MAIL)
        assert (record.applied, record.verified) == (1, True), record.error
    server.kill()


def test_failed_jobs_without_data_are_told_apart_from_those_that_left(
    mail: Service, target: Target, bull: Any
) -> None:
    ids = fail(mail, 5)
    bull.delete(f"bull:mail:{ids[1]}", f"bull:mail:{ids[2]}")
    record, found = acted(target, queues.retry_failed, MAIL)
    assert (record.planned, record.applied, record.verified) == (5, 3, False)
    assert "2 jobs cannot be retried" in found.message
    assert "no longer in that state" not in found.message
    assert act(target, queues.clean_failed, MAIL, older_than=0).applied == 2


# a lock that is held


def test_a_failed_job_whose_lock_is_held_is_neither_retried_nor_cleaned(
    mail: Service, target: Target, bull: Any
) -> None:
    ids = fail(mail, 5)
    bull.set(f"bull:mail:{ids[1]}:lock", "token")
    record, found = acted(target, queues.retry_failed, MAIL)
    assert (record.planned, record.applied, record.verified) == (4, 4, True)
    assert "1 more stay: a worker holds their lock" in record.warning
    assert found.status is Status.OK
    assert mail.ids(MAIL, "failed") == [ids[1]]
    for chosen in ({}, {"reason": "boom"}):
        record = act(target, queues.clean_failed, MAIL, older_than=0, **chosen)
        assert (record.planned, record.applied) == (0, 0)
    assert mail.ids(MAIL, "failed") == [ids[1]]


@pytest.mark.parametrize("chosen", [{}, {"reason": "boom"}])
@pytest.mark.parametrize("action", [queues.retry_failed, queues.clean_failed])
def test_a_job_that_is_locked_after_the_plan_is_left_alone(
    mail: Service, target: Target, bull: Any, action: Action[Any], chosen: dict[str, str]
) -> None:
    ids = fail(mail, 700)

    def lock(record: ActionRecord) -> None:
        if record.state == "applying":
            bull.set(f"bull:mail:{ids[350]}:lock", "token")

    chosen = {"older_than": 0, **chosen}  # type: ignore[dict-item]
    record, (found,) = Guard(target, True, "", lock).act(action, MAIL, **chosen)
    assert (record.planned, record.applied, record.verified) == (700, 699, True)
    assert "Skipped, running now: 1 job." in found.message
    assert mail.ids(MAIL, "failed") == [ids[350]]


@pytest.mark.parametrize("name", ["report worker 1", "", "plain"])
def test_a_running_job_is_never_stuck_whatever_its_worker_is_called(
    mail: Service, target: Target, name: str
) -> None:
    (job,) = mail.add(MAIL, data={"hold": True})
    mail.work(MAIL, **({"name": name} if name else {}))
    while not mail.runs(MAIL):
        pass
    assert act(target, queues.remove_stuck, MAIL, longer_than_min=0).planned == 0
    with pytest.raises(Refused, match="a worker is running job"):
        act(target, queues.remove_stuck, MAIL, longer_than_min=0, job=job)
    mail.release(MAIL)
    mail.until_idle(MAIL)
    assert mail.ids(MAIL, "completed") == [job]


def test_a_job_whose_worker_died_is_removed_once_its_lock_has_run_out(
    mail: Service, target: Target
) -> None:
    (job,) = mail.add(MAIL, data={"hold": True})
    with Service(mail.version, Queues.of(target).url) as dying:
        dying.work(MAIL, lockDuration=1500)
        while not mail.counts(MAIL)["active"]:
            pass
        dying.kill()
    assert act(target, queues.remove_stuck, MAIL, longer_than_min=0).planned == 0
    while queues.active_jobs(target, MAIL)[0].token:
        pass
    record = act(target, queues.remove_stuck, MAIL, longer_than_min=0)
    assert (record.planned, record.applied, record.verified) == (1, 1, True)
    assert mail.queue(MAIL, "getJob", job) is None


def test_a_job_that_a_connected_worker_may_run_without_a_lock_is_not_removed_unasked(
    target: Target,
) -> None:
    with Service(5, Queues.of(target).url) as mail:
        (job,) = mail.add(MAIL, data={"hold": True})
        mail.work(MAIL, lockDuration=1500, skipLockRenewal=True, skipStalledCheck=True)
        while not mail.runs(MAIL):
            pass
        while queues.active_jobs(target, MAIL)[0].token:
            pass
        record, found = acted(target, queues.remove_stuck, MAIL, longer_than_min=0)
        assert (record.planned, record.applied) == (0, 0)
        assert "1 more stay" in record.warning
        assert "1 without a lock, which a worker may be running" in found.message
        assert queues.active_jobs(target, MAIL)[0].may_run
        plan = queues.remove_stuck(target, MAIL, longer_than_min=0, job=job)
        assert plan.planned == 1
        assert plan.warning.startswith("Their unfinished work is lost")
        assert "First make sure that no worker is running it" in plan.warning


def test_a_job_that_version_4_has_moved_but_not_locked_yet_is_not_stuck(
    mail: Service, target: Target, bull: Any
) -> None:
    (job,) = mail.add(MAIL)
    bull.rpoplpush("bull:mail:wait", "bull:mail:active")
    bull.lpush("bull:mail:active", "0:0", "gone")
    record = act(target, queues.remove_stuck, MAIL)
    assert [row["job"] for row in record.sample] == ["gone"]
    assert (record.applied, record.verified) == (1, True)
    assert bull.lrange("bull:mail:active", 0, -1) == ["0:0", job]


def test_the_current_job_of_a_scheduler_is_not_cleaned(target: Target, bull: Any) -> None:
    with Service(5, Queues.of(target).url) as mail:
        ids = fail(mail, 3)
        job = "repeat:nightly:1700000000000"
        bull.zadd("bull:mail:repeat", {"nightly": 1_700_000_000_000})
        bull.hset(f"bull:mail:{job}", mapping={"name": "work", "rjk": "nightly", "opts": "{}"})
        bull.zadd("bull:mail:failed", {job: 1})
        record = act(target, queues.clean_failed, MAIL, older_than=0)
        assert (record.planned, record.applied, record.verified) == (3, 3, True)
        assert "1 more stay: a job scheduler continues from them" in record.warning
        assert mail.ids(MAIL, "failed") == [job]
        assert len(ids) == 3
