"""Rows are mended in a transaction, and the queues that were paused for it always run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from opsnb.actions.action import Permit
from opsnb.actions.guard import Guard
from opsnb.config.places import demo_home
from opsnb.config.target import Target
from opsnb.demo import faults, stack
from opsnb.errors import Refused, UsageError
from opsnb.handbook.incidents import data_inconsistency
from opsnb.model import ActionRecord, ActionState, Finding, Status
from opsnb.systems import queues
from opsnb.systems.database import integrity
from opsnb.systems.database.settings import Integrity
from opsnb.systems.queues.settings import Queues
from tests import incident, queue_jobs
from tests.operate.database import query, wait_for
from tests.operate.queues import do, is_paused

WRONG = "SELECT id, score FROM analyses WHERE score > 1"
MEND = "DELETE FROM analyses WHERE score > 1"


@pytest.fixture(autouse=True)
def _nobody_uses_it(demo: Target) -> Iterator[None]:
    """A job that saves an analysis anew would mend a row by itself."""
    stack.set_traffic(False)
    yield
    stack.set_traffic(True)


def acted(target: Target, name: str = "", *, wait_s: float = 20) -> tuple[ActionRecord, Finding]:
    guard = Guard(target, True, "", lambda _: None)
    record, (*_, found) = guard.act(data_inconsistency.repair_rows, name, wait_s=wait_s)
    return record, found


def having(target: Target, **check: object) -> Target:
    """Return the target with one check of its own."""
    values = {"name": "scores", "sql": WRONG, "queues": ("exports", "ai-analysis"), **check}
    return target.changed(integrity=(Integrity.model_validate(values),))


def wrong(target: Target) -> int:
    ((count,),) = query(target, "SELECT count(*) FROM analyses WHERE score > 1")
    return int(count)


def paused(target: Target) -> list[str]:
    return [name for name in Queues.of(target).names if is_paused(target, name)]


def test_a_healthy_stack_has_nothing(demo: Target) -> None:
    assert data_inconsistency.integrity(demo).status is Status.OK
    record, _ = acted(demo)
    assert (record.planned, record.verified) == (0, None)


def test_the_fault_is_found_and_its_remedy_mends_it(demo: Target) -> None:
    faults.inject("inconsistent-rows")
    found = data_inconsistency.integrity(demo)
    assert found.status is Status.CRIT
    result = incident.mended(demo, found)
    (action,) = result.actions
    assert action.verified
    assert {row["what"] for row in action.sample} == {"violates", "would be deleted"}
    assert data_inconsistency.integrity(demo).status is Status.OK
    assert paused(demo) == []


def test_a_plan_changes_nothing(demo: Target) -> None:
    faults.inject("inconsistent-rows")
    before = wrong(demo)
    plan = data_inconsistency.repair_rows(demo)
    assert f"{before} rows violate it, the repair changes {before} and leaves 0" in plan.summary
    assert wrong(demo) == before
    assert paused(demo) == []
    with pytest.raises(Refused):
        list(plan.work(Permit(object())))


def test_a_queue_that_was_paused_before_stays_paused(demo: Target) -> None:
    faults.inject("inconsistent-rows")
    do(demo, queues.pause, "exports")
    record, found = acted(having(demo, repair=MEND))
    assert (record.verified, found.status) == (True, Status.OK)
    assert paused(demo) == ["exports"]
    do(demo, queues.resume, "exports")


@pytest.mark.parametrize(
    "mend",
    [
        "DELETE FROM analyses WHERE id = (SELECT min(id) FROM analyses WHERE score > 1)",
        "UPDATE analyses SET score = 1 / (id - id) WHERE score > 1",
    ],
    ids=["does not mend all", "fails"],
)
def test_a_repair_that_does_not_mend_changes_nothing(demo: Target, mend: str) -> None:
    faults.inject("inconsistent-rows")
    before = wrong(demo)
    record, found = acted(having(demo, repair=mend))
    assert record.state is ActionState.FAILED
    assert found.status is Status.CRIT
    assert wrong(demo) == before
    assert paused(demo) == []


def test_jobs_that_do_not_end_stop_it_and_the_queues_run_again(demo: Target) -> None:
    faults.inject("inconsistent-rows")
    before = wrong(demo)
    target = having(demo, repair=MEND, queues=("drill", "exports"))
    queue_jobs.forget(demo, "drill")
    queue_jobs.write_active(demo, "drill", "endless", age_s=60)
    record, _ = acted(target, wait_s=0.5)
    assert record.state is ActionState.FAILED
    assert record.error is not None
    assert "Jobs of drill were still active" in record.error
    assert wrong(demo) == before
    assert not is_paused(demo, "drill")
    assert paused(demo) == []
    queue_jobs.forget(demo, "drill")


def test_interrupted_it_puts_the_queues_back(demo: Target) -> None:
    faults.inject("inconsistent-rows")
    before = wrong(demo)
    target = having(demo, repair=MEND, queues=("drill", "exports"))
    queue_jobs.forget(demo, "drill")
    queue_jobs.write_active(demo, "drill", "endless", age_s=60)

    def interrupt() -> None:
        wait_for(lambda: is_paused(demo, "exports"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        acted(target)
    thread.join()
    assert wrong(demo) == before
    assert not is_paused(demo, "drill")
    assert paused(demo) == []
    queue_jobs.forget(demo, "drill")


@pytest.mark.parametrize("queued", [(), ("exports",)])
def test_interrupted_between_two_repairs_the_record_has_the_first(
    demo: Target, queued: tuple[str, ...]
) -> None:
    faults.inject("inconsistent-rows")
    both, (half,) = wrong(demo), query(demo, "SELECT max(id) FROM analyses WHERE score > 1")[0]
    checks = [
        Integrity(name=name, sql=f"{WRONG} AND {part}", repair=f"{MEND} AND {part}", queues=queued)
        for name, part in {"last": f"id = {half}", "others": f"id <> {half}"}.items()
    ]
    target = demo.changed(integrity=tuple(checks))
    journal: list[ActionRecord] = []

    def interrupt(record: ActionRecord) -> None:
        journal.append(record)
        if record.state is ActionState.APPLYING and {
            (row["check"], row["state"]) for row in record.sample
        } == {("last", "repaired"), ("others", "under way")}:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Guard(target, True, "", interrupt).act(data_inconsistency.repair_rows)
    done, planned = (2, 4) if queued else (1, 2)
    assert f"{done} of {planned} steps done" in (journal[-1].error or "")
    assert (journal[-1].applied, journal[-1].planned) == (done, planned)
    assert wrong(demo) == both - 1
    assert paused(demo) == []
    # The rest, by the run after it.
    record, found = acted(target)
    assert (record.verified, found.status) == (True, Status.OK)
    assert wrong(demo) == 0


@pytest.mark.parametrize(
    "statement",
    [
        MEND,
        "SELECT 1; DELETE FROM analyses",
        "SELECT 1; COMMIT; DELETE FROM analyses",
        "WITH gone AS (DELETE FROM analyses RETURNING id) SELECT * FROM gone",
        "SELECT nextval(pg_get_serial_sequence('analyses', 'id'))",
        "COMMIT",
        "SELECT * FROM nowhere",
    ],
)
def test_a_check_that_writes_is_refused_in_one_sentence(demo: Target, statement: str) -> None:
    ((before,),) = query(demo, "SELECT count(*) FROM analyses")
    found = data_inconsistency.integrity(having(demo, sql=statement))
    assert found.status is Status.UNKNOWN
    assert "has to be one statement, a SELECT that only reads." in found.message
    ((after,),) = query(demo, "SELECT count(*) FROM analyses")
    assert after >= before  # the service adds some


@pytest.mark.parametrize("statement", ["COMMIT", f"{MEND}; COMMIT", "DO $$ BEGIN COMMIT; END $$"])
def test_a_repair_cannot_leave_its_transaction(demo: Target, statement: str) -> None:
    faults.inject("inconsistent-rows")
    before = wrong(demo)
    record, _ = acted(having(demo, repair=statement))
    assert record.state is ActionState.FAILED
    assert wrong(demo) == before
    assert paused(demo) == []


def test_rows_are_shown_in_bounds_with_their_number(demo: Target) -> None:
    check = Integrity(name="all", sql="SELECT id, script FROM scenes -- every one\n;")
    with integrity.checking(demo) as connected:
        found = integrity.violations(connected, check)
    assert (found.count, len(found.sample)) == (3000, 10)


def test_an_unknown_check_is_told_with_the_nearest(demo: Target) -> None:
    with pytest.raises(UsageError, match="Did you mean 'scene-positions'"):
        data_inconsistency.integrity(demo, "scene-position")


def test_a_killed_run_has_its_queues_put_back_by_the_next(
    demo: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.inject("inconsistent-rows")
    table = demo_home().joinpath("opsnb.toml").read_text().partition("\n[[")[0]
    check = f'sql = "{WRONG}"\nrepair = "{MEND}"\nqueues = ["drill", "exports"]'
    path = tmp_path / "opsnb.toml"
    path.write_text(f'{table}\n[[targets.demo.integrity]]\nname = "scores"\n{check}\n')
    monkeypatch.setenv("OPSNB_CONFIG", str(path))
    queue_jobs.forget(demo, "drill")
    queue_jobs.write_active(demo, "drill", "endless", age_s=60)
    command = [sys.executable, "-m", "opsnb", "run", "incidents/data_inconsistency", "--apply"]
    runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: is_paused(demo, "drill") and is_paused(demo, "exports"), 60)
    finally:
        children = psutil.Process(runner.pid).children(recursive=True)
        for pid in [*(child.pid for child in children), runner.pid]:
            os.kill(pid, signal.SIGKILL)
        runner.wait()
    assert wrong(demo) > 0
    assert paused(demo) == ["exports"]

    target = having(demo, repair=MEND, queues=("drill", "exports"))
    left = data_inconsistency.left_paused(target)
    assert left.status is Status.WARN
    assert "drill and exports" in left.message
    with queue_jobs.connected(demo) as client:
        client.delete(queue_jobs.key(demo, "drill", "active"))
    record, found = acted(target)
    assert "left paused by an interrupted repair" in record.summary
    assert (record.verified, found.status) == (True, Status.OK)
    assert wrong(demo) == 0
    assert not is_paused(demo, "drill")
    assert paused(demo) == []
    queue_jobs.forget(demo, "drill")
