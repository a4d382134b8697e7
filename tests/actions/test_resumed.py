"""Every action, cut off at any moment on the real systems and continued, is done exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import psutil
import psycopg
import pytest

from opsnb.actions.action import Action, Permit, Plan
from opsnb.actions.guard import Guard
from opsnb.actions.journal import Continued, Journal, read
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.demo.releases import FIRST, GOOD
from opsnb.handbook.deployment import deploy as deploying
from opsnb.handbook.deployment import rollback
from opsnb.handbook.incidents import data_inconsistency
from opsnb.model import ActionRecord, ActionState, Finding, Status
from opsnb.systems import cache, database, dependencies, logs, processes, queues
from opsnb.systems.database.settings import Database
from tests import queue_jobs
from tests.actions.test_no_way_round import ACTIONS
from tests.operate import cache as cached
from tests.operate import database as databases
from tests.operate import deployment, incidents, maintenance, troubleshooting
from tests.operate.queues import QUEUE, exports_are_paused, exports_run, failed_jobs, is_paused

KEYS = 40_000
LONG = "SELECT pg_sleep(300)"


class Killed(BaseException):
    """The kernel ends here, and nothing of it says a word any more."""


@dataclass(frozen=True)
class Case:
    """An action, what it finds, what happens after its plan, and what there must be in the end."""

    action: Action[...]
    effect: Callable[[Target], None]
    """Asserts that it was done, once."""
    arguments: dict[str, Any] = field(default_factory=dict)
    place: Callable[[Target], Any] | None = None
    """A context with the target to act on; the demo stack itself by default."""
    prepare: Callable[[Target], None] = lambda _: None
    since: Callable[[Target], None] = lambda _: None
    """What others do after the plan: it is none of the action's business."""
    steps: int | None = 0
    """How many steps it has told of when it is in the middle; None when there is but one."""
    tells: bool = True
    """Whether it can be seen to be done; else it is done again, which does no harm."""


@contextmanager
def own_database(demo: Target) -> Iterator[Target]:
    with databases.own_database(demo) as target:
        for table in ("a", "b", "c"):
            databases.query(target, f"CREATE TABLE {table} AS SELECT generate_series(1, 50) AS n")
            databases.query(target, f"CREATE INDEX {table}_n ON {table} (n)")
        yield target


@contextmanager
def own_backup(demo: Target) -> Iterator[Target]:
    with own_database(demo) as target:
        databases.act(target, database.backup)
        yield target


@contextmanager
def long_queries(demo: Target) -> Iterator[Target]:
    with own_database(demo) as target, ExitStack() as stack:
        for name in ("long-1", "long-2"):
            stack.enter_context(databases.running(target, LONG, name))
        databases.wait_for(lambda: database.long_queries(target, 0.01).value == 2)
        yield target


def another_long_query(target: Target) -> None:
    databases.start(target, LONG, "long-3")
    databases.wait_for(lambda: database.long_queries(target, 0.01).value != 2)


def only_another_is_left(target: Target) -> None:
    names = ("long-1", "long-2", "long-3")
    assert [databases.is_running(target, name) for name in names] == [False, False, True]
    databases.query(
        target,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'long-3'",
    )


def more_fail(target: Target) -> None:
    queue_jobs.write(target, QUEUE, 7, first=20_001, age_s=-1)


def only_those_are_left(target: Target) -> None:
    left = queue_jobs.ids_in(target, QUEUE, "failed")
    assert left == [str(number) for number in range(20_001, 20_008)]


def each_waits_once(target: Target) -> None:
    only_those_are_left(target)
    waiting = queue_jobs.ids_in(target, QUEUE, "wait")
    assert len(waiting) == len(set(waiting)) == 1527


def two_are_stuck(target: Target) -> None:
    queue_jobs.forget(target, QUEUE)
    for job in ("stuck-1", "stuck-2"):
        queue_jobs.write_active(target, QUEUE, job, age_s=7200)


def another_is_stuck(target: Target) -> None:
    queue_jobs.write_active(target, QUEUE, "stuck-3", age_s=7200)


def only_that_is_stuck(target: Target) -> None:
    assert queue_jobs.ids_in(target, QUEUE, "active") == ["stuck-3"]


def many_keys(target: Target) -> None:
    with cached.client(target) as client:
        client.mset({f"drill:scene:{number}": "x" for number in range(KEYS)})


def no_key(target: Target) -> None:
    assert not cached.matching(target, "drill:*")


def every_project(target: Target) -> None:
    assert cached.matching(target, "project:*") >= {f"project:{n}" for n in range(1, 101)}


def all_are_analyzed(target: Target) -> None:
    rows = databases.query(
        target, "SELECT relname, analyze_count FROM pg_stat_user_tables ORDER BY 1"
    )
    assert rows == [("a", 1), ("b", 1), ("c", 1), ("later", 0)]


def make_table(target: Target) -> None:
    databases.query(target, "CREATE TABLE later (n int)")


def make_index(target: Target) -> None:
    databases.query(target, "CREATE INDEX a_later ON a (n)")


def all_are_whole(target: Target) -> None:
    rows = databases.query(
        target,
        "SELECT relname, indisvalid FROM pg_class JOIN pg_index ON oid = indexrelid"
        " WHERE indrelid = 'a'::regclass ORDER BY 1",
    )
    assert rows == [("a_later", True), ("a_n", True)]


def one_backup(_: Target) -> None:
    names = sorted(path.name for path in Path("backups").iterdir())
    assert len(names) == 2
    assert names[1] == f"{names[0]}.sha256"


def restored(target: Target, kind: str) -> list[str]:
    ((name,),) = databases.query(target, "SELECT current_database()")
    return databases.databases_like(target, f"{name}_{kind}_")


def one_is_restored(target: Target) -> None:
    assert (len(restored(target, "restore")), len(restored(target, "before"))) == (1, 0)


def one_is_swapped_in(target: Target) -> None:
    assert (len(restored(target, "restore")), len(restored(target, "before"))) == (0, 1)


def its_sessions_end(target: Target) -> None:
    """End what a kill would have ended: pg_restore, and the sessions in what it fills."""
    for child in psutil.Process().children():
        if child.name() == "pg_restore":
            child.kill()
            child.wait(60)
    sessions = (
        "FROM pg_stat_activity WHERE starts_with(datname, current_database() || '_proof_')"
        " AND backend_type = 'client backend'"
    )
    databases.query(target, f"SELECT pg_terminate_backend(pid) {sessions}")
    databases.wait_for(lambda: not databases.query(target, f"SELECT {sessions}"))


def none_is_left_of_it(target: Target) -> None:
    assert restored(target, "proof") == []


def are_paused(target: Target) -> None:
    assert is_paused(target, "exports")
    exports_run(target)


def are_running(target: Target) -> None:
    assert not is_paused(target, "exports")


def two_workers(target: Target) -> None:
    assert [process.name for process in processes.listed(target)].count("worker") == 2
    troubleshooting.one_worker(target)


def limited_to_two(target: Target) -> None:
    assert queues.brakes(target, "exports").concurrency == 2
    act(target, queues.limit, {"queue": "exports", "concurrency": 0})


def titles_have_one_index(target: Target) -> None:
    assert [name for name in troubleshooting.index_names(target) if "title" in name] == [
        "idx_scenes_title"
    ]
    troubleshooting.no_index_on_titles(target)


@contextmanager
def idle_sessions(demo: Target) -> Iterator[Target]:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(
                psycopg.connect(
                    Database.of(demo).url, application_name="left-behind", autocommit=True
                )
            )
        yield demo


def none_is_left(target: Target) -> None:
    left = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'left-behind'"
    assert databases.query(target, left) == []


def all_are_up(target: Target) -> None:
    assert processes.up(target).status is Status.OK
    faults.clear("worker-down")


def redis_is_down(_: Target) -> None:
    faults.inject("redis-down")


def redis_answers(target: Target) -> None:
    assert cache.ping(target).status is Status.OK
    faults.clear("redis-down")


def all_is_mended(target: Target) -> None:
    assert data_inconsistency.integrity(target).status is Status.OK
    assert not is_paused(target, "ai-analysis")


def no_old_log(target: Target) -> None:
    assert not maintenance.old_log(target).exists()


def is_deployed(target: Target) -> None:
    assert deployment.version(target) == GOOD
    assert queues.pauses(target).status is Status.OK
    deployment.first_release(target)


def is_back(target: Target) -> None:
    assert deployment.version(target) == FIRST
    assert queues.pauses(target).status is Status.OK


def the_queue_is(empty: Callable[[Target], None]) -> Callable[[Target], None]:
    def effect(target: Target) -> None:
        empty(target)
        queue_jobs.forget(target, QUEUE)

    return effect


CASES: dict[str, Case] = {
    "queues/pause": Case(
        queues.pause, are_paused, {"queue": "exports"}, prepare=exports_run, steps=None
    ),
    "queues/resume": Case(
        queues.resume, are_running, {"queue": "exports"}, prepare=exports_are_paused, steps=None
    ),
    "queues/clean_failed": Case(
        queues.clean_failed,
        the_queue_is(only_those_are_left),
        {"queue": QUEUE, "older_than": 0},
        prepare=failed_jobs,
        since=more_fail,
    ),
    "queues/clean_failed by reason": Case(
        queues.clean_failed,
        the_queue_is(only_those_are_left),
        {"queue": QUEUE, "older_than": 0, "reason": "o"},
        prepare=failed_jobs,
        since=more_fail,
    ),
    "queues/retry_failed": Case(
        queues.retry_failed,
        the_queue_is(each_waits_once),
        {"queue": QUEUE},
        prepare=failed_jobs,
        since=more_fail,
    ),
    "queues/retry_failed by reason": Case(
        queues.retry_failed,
        the_queue_is(each_waits_once),
        {"queue": QUEUE, "reason": "o"},
        prepare=failed_jobs,
        since=more_fail,
    ),
    "queues/remove_stuck": Case(
        queues.remove_stuck,
        the_queue_is(only_that_is_stuck),
        {"queue": QUEUE},
        prepare=two_are_stuck,
        since=another_is_stuck,
    ),
    "troubleshooting/high_queue_length": Case(
        processes.scale,
        two_workers,
        {"process": "worker", "instances": 2},
        prepare=troubleshooting.one_worker,
        steps=None,
    ),
    "troubleshooting/high_queue_length by a limit": Case(
        queues.limit, limited_to_two, {"queue": "exports", "concurrency": 2}, steps=None
    ),
    "incidents/service_down": Case(
        processes.restart, all_are_up, prepare=incidents.the_worker_is_down, steps=None
    ),
    "incidents/service_down of Redis": Case(
        dependencies.start, redis_answers, prepare=redis_is_down, steps=None
    ),
    "incidents/data_inconsistency": Case(
        data_inconsistency.repair_rows,
        all_is_mended,
        prepare=incidents.scores_are_wrong,
        steps=None,
    ),
    "maintenance/weekly": Case(logs.clear, no_old_log, prepare=maintenance.an_old_log, steps=None),
    "deployment/deploy": Case(
        deploying.release, is_deployed, prepare=deployment.first_release, steps=7
    ),
    "deployment/rollback": Case(
        rollback.go_back,
        is_back,
        {"to": FIRST},
        prepare=deployment.good_release,
        steps=9,
    ),
    "cache/clear": Case(cache.clear, no_key, {"pattern": "drill:*"}, prepare=many_keys),
    "cache/warm_up": Case(
        cache.warm_up,
        every_project,
        {"projects": 150, "via": "direct"},
        prepare=cached.cold,
        tells=False,
    ),
    "cache/warm_up by the API": Case(
        cache.warm_up, every_project, {"via": "api"}, prepare=cached.cold, steps=None, tells=False
    ),
    "database/analyze": Case(
        database.analyze,
        all_are_analyzed,
        place=own_database,
        since=make_table,
    ),
    "database/reindex": Case(
        database.reindex,
        all_are_whole,
        {"name": "a", "kind": "table"},
        place=own_database,
        prepare=lambda target: databases.make_leftover(target, "a"),
        since=make_index,
    ),
    "database/connections": Case(
        database.end_long_queries,
        only_another_is_left,
        {"minutes": 0.01},
        place=long_queries,
        since=another_long_query,
    ),
    "troubleshooting/slow_queries": Case(
        database.create_index,
        titles_have_one_index,
        {"table": "scenes", "columns": "title"},
        prepare=troubleshooting.no_index_on_titles,
        steps=None,
    ),
    "troubleshooting/slow_queries of sessions": Case(
        database.end_sessions,
        none_is_left,
        {"application": "left-behind", "idle_s": 0},
        place=idle_sessions,
    ),
    "database/backup": Case(database.backup, one_backup, place=own_database),
    "database/restore": Case(
        database.restore, one_is_restored, place=own_backup, steps=3, tells=False
    ),
    "maintenance/monthly": Case(
        database.prove,
        none_is_left_of_it,
        place=own_backup,
        since=its_sessions_end,
        steps=1,
        tells=False,
    ),
    "database/restore swapped in": Case(
        database.restore, one_is_swapped_in, {"swap": True}, place=own_backup, steps=3
    ),
}


BEFORE = -1


@dataclass
class Killing:
    """Has an action's work end at a moment, as a kill ends it: without any clean-up."""

    action: Action[...]
    steps: int | None
    """How many it has told of by then, or BEFORE the first one; None lets it come to its end."""
    path: Path
    """Of its journal."""
    left: list[ActionRecord] = field(default_factory=list)
    """The journal at that moment, or behind the last step."""
    held: list[Iterator[int]] = field(default_factory=list)

    def __call__(self) -> Action[...]:
        return replace(self.action, function=self.plan)

    def plan(self, target: Target, former: ActionRecord | None, **arguments: Any) -> Plan:
        plan = self.action.function(target, former, **arguments)

        def work(permit: Permit) -> Iterator[int]:
            if self.steps == BEFORE:
                self.kill()
            steps = plan.work(permit)
            self.held.append(steps)  # as long as it is held its clean-up does not run
            for number, done in enumerate(steps):
                if number == self.steps:
                    self.kill()
                yield done
            if self.steps is not None:
                self.kill()  # it was quick: it is killed behind its last step
            self.left = read(self.path)

        return replace(plan, work=work)

    def kill(self) -> NoReturn:
        self.left = read(self.path)
        raise Killed


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def target(case: Case, demo: Target) -> Iterator[Target]:
    with ExitStack() as stack:
        yield stack.enter_context(case.place(demo)) if case.place else demo


def test_every_action_is_in_the_table() -> None:
    assert {case.action for case in CASES.values()} == {action for _, action, _, _ in ACTIONS}


def act(
    target: Target, action: Action[...], arguments: dict[str, Any], **how: Any
) -> tuple[ActionRecord, list[Finding]]:
    return Guard(target, True, "", lambda _: None, **how).act(action, **arguments)


def go_on(
    target: Target, case: Case, former: list[ActionRecord], killing: Killing | None = None
) -> tuple[ActionRecord, list[Finding]]:
    known = [record.model_copy(update={"continues": "run-1"}) for record in former]
    continued = Continued(run_id="run-1", command="", actions=known)
    if killing is None:
        return act(target, case.action, case.arguments, continued=continued)
    journal = Journal(killing.path)
    return act(target, killing(), case.arguments, continued=continued, journal=journal)


def finished(done: tuple[ActionRecord, list[Finding]]) -> ActionRecord:
    """Return the journal of a run that has brought another one's action to its end."""
    record, (effect,) = done
    assert effect.status is Status.OK, effect.message
    assert (record.state, record.verified, record.continues) == (
        ActionState.APPLIED, True, "run-1",
    )  # fmt: skip
    return record


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_cut_off_it_is_finished_and_not_repeated(
    target: Target, case: Case, tmp_path: Path
) -> None:
    """Each run continues the one before it, so that all of them do the work once."""
    case.prepare(target)
    before = Killing(case.action, BEFORE, tmp_path / "before.jsonl")
    middle = Killing(case.action, case.steps, tmp_path / "middle.jsonl")
    former: list[ActionRecord] = []
    for killing in (before, middle) if case.steps is not None else (before,):
        with pytest.raises(Killed):
            go_on(target, case, former, killing)
        assert [record.state for record in killing.left] == [ActionState.APPLYING]
        former = killing.left
    case.since(target)
    whole = Killing(case.action, None, tmp_path / "whole.jsonl")
    first = finished(go_on(target, case, former, whole))
    # Its end is known: it is verified and not repeated.
    second = finished(go_on(target, case, read(whole.path)))
    assert (second.applied, second.finished) == (first.applied, first.finished)
    # It was killed behind its last step, before its end was written: by the kill in the middle
    # already, where a quick one had come to its end by then.
    left = whole.left or former
    assert [record.state for record in left] == [ActionState.APPLYING]
    third = finished(go_on(target, case, left))
    assert third.planned == 0 or not case.tells
    case.effect(target)
    for held in middle.held:
        with suppress(Exception):
            held.close()  # type: ignore[attr-defined]


def test_what_a_killed_backup_left_goes(demo: Target) -> None:
    first, _ = act(demo, database.backup, {})
    path = Path(first.terms["file"])
    path.rename(path.with_name(f".{path.name}.part"))  # killed before it had its name
    killed = first.model_copy(update={"state": ActionState.APPLYING})
    again, _ = go_on(demo, Case(database.backup, one_backup), [killed])
    assert again.verified
    one_backup(demo)


def test_a_resume_that_was_cut_off_left_jobs_apart(demo: Target) -> None:
    """An older BullMQ keeps the jobs of a paused queue apart and gives some back at a time."""
    queue_jobs.forget(demo, QUEUE)
    queue_jobs.write(demo, QUEUE, 3, state="completed")
    with queue_jobs.connected(demo) as client:
        client.rpush(queue_jobs.key(demo, QUEUE, "paused"), "1", "2")
    record, (effect,) = act(demo, queues.resume, {"queue": QUEUE})
    assert (record.planned, record.verified, effect.status) == (1, True, Status.OK)
    assert queue_jobs.ids_in(demo, QUEUE, "wait") == ["1", "2"]
    assert act(demo, queues.resume, {"queue": QUEUE})[0].planned == 0
    queue_jobs.forget(demo, QUEUE)
