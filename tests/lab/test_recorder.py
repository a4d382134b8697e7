"""What is recorded of a working copy, whatever JupyterLab and its user do with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opsnb import catalog
from opsnb.actions.journal import Journal
from opsnb.config.file import load_config
from opsnb.config.places import state_home
from opsnb.errors import ConfigError, RunBroke
from opsnb.lab.copies import fresh, opened, working_folder
from opsnb.lab.recorder import Recorder
from opsnb.lab.run import Run
from opsnb.model import (
    FINDING_MIME,
    TARGET_KEY,
    ActionRecord,
    ActionState,
    Finding,
    RunResult,
    Status,
    now,
)
from opsnb.records.extract import rebuild
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from tests.records.test_store import as_in_notebook

PAUSE = "queues/pause.ipynb"


class Lab:
    """The working copies of a JupyterLab, and what it would do with that of `queues/pause`."""

    def __init__(self) -> None:
        self.root = working_folder()
        self.store = Store(load_config().store)
        self.recorder = Recorder(self.root, self.store)
        info = catalog.runbook("queues/pause")
        self.copy = self.root / fresh(self.root, info, info.validate({"target": "a"}))

    @property
    def run(self) -> Run:
        run = self.recorder.run(PAUSE)
        assert run
        return run

    def edit(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        notebook = json.loads(self.copy.read_text())
        change([cell for cell in notebook["cells"] if cell["cell_type"] == "code"])
        self.copy.write_text(json.dumps(notebook))

    def show(self, *outputs: dict[str, Any], cell: int = -1, at: int = 1, count: int = 1) -> None:
        """Have a cell executed, by default the last one, with these outputs."""
        noted = {"execution": {"iopub.execute_input": f"2026-11-23T07:15:{at:02}.000000Z"}}

        def change(cells: list[dict[str, Any]]) -> None:
            cells[cell].update(execution_count=count, outputs=outputs)
            cells[cell]["metadata"] |= noted

        self.edit(change)

    def turn_to(self, target: str) -> None:
        """Type another target."""

        def change(cells: list[dict[str, Any]]) -> None:
            cells[0]["source"] = f'target = "{target}"\napply = True'

        self.edit(change)

    def records(self) -> list[RunResult]:
        return list(self.store.results())


@pytest.fixture
def lab() -> Lab:
    return Lab()


def finding(status: Status, message: str = "As told.", target: str = "a") -> dict[str, Any]:
    told = Finding(name="test.one", status=status, message=message)
    data = {FINDING_MIME: told.model_dump(mode="json"), "text/plain": message}
    return {"output_type": "display_data", "metadata": {TARGET_KEY: target}, "data": data}


def applied(target: str = "a", name: str = "queues.pause") -> ActionRecord:
    moment = now()
    return ActionRecord(
        id=f"{name}-{target}",
        name=name,
        title="Pause",
        target=target,
        state=ActionState.APPLIED,
        planned=1,
        applied=1,
        unit="queues",
        started=moment,
        finished=moment,
    )


def stages() -> list[Path]:
    return list((state_home() / "running").glob("*/run.json"))


def test_looking_leaves_nothing(lab: Lab) -> None:
    assert lab.run.save() is None
    assert lab.recorder.run("Start.md") is None
    assert list(lab.recorder.close()) == []
    assert lab.records() == []
    assert stages() == []


def test_every_save_brings_the_record_up_to_date_and_closing_ends_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSNB_INCIDENT", "inc-42")
    lab.show(finding(Status.OK))
    made = lab.run.save()
    (first,) = lab.records()
    assert made == first
    assert (first.open, first.status, first.exit_code) == (True, Status.OK, 0)
    assert (first.trigger, first.incident) == ("interactive", "inc-42")
    assert first.parameters["target"] == "a"

    lab.show(finding(Status.OK), finding(Status.CRIT))
    assert lab.run.save() is None
    (second,) = lab.records()
    assert (second.run_id, second.status, second.exit_code) == (first.run_id, Status.CRIT, 2)
    assert second.finished > first.finished

    assert [each.run_id for each in lab.recorder.close() if isinstance(each, RunResult)] == [
        first.run_id
    ]
    (ended,) = lab.records()
    assert ended.seal
    assert ended == second.model_copy(update={"open": False, "seal": ended.seal})
    assert rebuild(lab.store.notebook(ended.run_id)) == as_in_notebook(ended)
    assert stages() == []


def test_the_end_of_the_kernel_ends_the_record_and_a_save_opens_it_again(lab: Lab) -> None:
    lab.show(finding(Status.OK))
    lab.run.save()
    lab.run.end()
    (ended,) = lab.records()
    assert (ended.open, ended.seal) == (False, None)
    lab.show(finding(Status.WARN))
    lab.run.save()
    (again,) = lab.records()
    assert (again.open, again.status) == (True, Status.WARN)


def test_a_target_typed_before_anything_was_run_is_the_targets_record(lab: Lab) -> None:
    began = lab.run.opening.started
    lab.turn_to("b")
    lab.show(finding(Status.OK, target="b"))
    lab.run.save()
    (only,) = lab.records()
    assert (only.target, only.started) == ("b", began)
    assert only.parameters["apply"] is True
    assert list(lab.store.results(target="b")) == [only]


def test_another_target_makes_another_record(lab: Lab) -> None:
    lab.show(finding(Status.CRIT), cell=-2)
    lab.show(finding(Status.WARN), at=2, count=7)
    lab.run.save()
    Journal(lab.run.journal).write(applied("a"))
    lab.turn_to("b")
    lab.run.save()
    (on_a,) = lab.records()  # nothing was run on b yet
    assert (on_a.target, on_a.parameters["target"], on_a.open) == ("a", "a", True)
    assert lab.run.acts_on == "b"

    lab.show(finding(Status.OK, target="b"), at=3)  # in a kernel that counts anew
    assert lab.run.save()
    on_b, on_a = lab.records()
    assert (on_a.target, on_a.status, on_a.open) == ("a", Status.CRIT, False)
    assert [action.target for action in on_a.actions] == ["a"]
    assert (on_b.target, on_b.status, on_b.open) == ("b", Status.OK, True)
    assert (len(on_b.findings), on_b.actions) == (1, [])


def test_a_cell_that_is_being_typed_changes_no_parameter(lab: Lab) -> None:
    lab.show(finding(Status.OK))
    lab.run.save()
    lab.edit(lambda cells: cells[0].update(source='target = "'))
    lab.run.save()
    (only,) = lab.records()
    assert only.parameters["target"] == "a"


def test_an_action_stays_told_though_its_cell_only_plans_now(lab: Lab) -> None:
    journal = Journal(lab.run.journal)
    journal.write(applied())
    journal.write(applied(name="queues.only_planned").model_copy(update={"started": None}))
    lab.show(finding(Status.OK))
    lab.run.save()
    assert [action.name for action in lab.records()[0].actions] == ["queues.pause"]


@pytest.mark.parametrize(
    ("ename", "code", "sentence"),
    [
        ("ValueError", 70, "Cell [1] raised ValueError: no such"),
        ("Refused", 77, "Nothing was changed: no such"),
    ],
)
def test_an_error_is_told_as_a_headless_run_tells_it(
    lab: Lab, ename: str, code: int, sentence: str
) -> None:
    error = {"output_type": "error", "ename": ename, "evalue": "no such", "traceback": []}
    lab.show(finding(Status.OK), error)
    lab.run.save()
    (broke,) = lab.records()
    assert (broke.status, broke.exit_code, broke.error) == (Status.UNKNOWN, code, sentence)


def test_no_secret_of_any_target_is_kept(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "opsnb.toml").write_text(
        '[targets.other]\nredis_url = "redis://:s3cret-of-other@127.0.0.1:1/0"\n'
        '[targets.broken]\nredis_url = "${NOT_SET}"\n'
    )
    lab.show(finding(Status.OK, "s3cret-of-other"))
    lab.run.save()
    kept = [*Path(lab.store.url).rglob("*"), *(state_home() / "running").rglob("*")]
    texts = [file.read_text() for file in kept if file.is_file()]
    assert any("[redacted]" in text for text in texts)
    assert not any("s3cret" in text for text in texts)


def test_a_copy_is_followed_to_its_new_name(lab: Lab) -> None:
    lab.show(finding(Status.OK))
    lab.run.save()
    run = lab.run
    (lab.root / "queues").rename(lab.root / "mine")
    lab.recorder.moved("queues", "mine")
    lab.copy = lab.root / "mine" / "pause.ipynb"
    lab.show(finding(Status.WARN))
    assert lab.recorder.run("mine/pause.ipynb") is run
    run.save()
    assert [result.status for result in lab.records()] == [Status.WARN]


def test_a_copy_that_was_deleted_ends_as_it_was(lab: Lab) -> None:
    lab.show(finding(Status.WARN))
    lab.run.save()
    lab.copy.unlink()
    assert [each for each in lab.recorder.close() if isinstance(each, Exception)] == []
    (ended,) = lab.records()
    assert (ended.status, ended.open) == (Status.WARN, False)


def test_a_broken_store_is_told_and_the_record_is_written_later(lab: Lab) -> None:
    place = Path(lab.store.url)
    place.write_text("a file where the store should be")
    lab.show(finding(Status.OK))
    with pytest.raises(RunBroke, match="could not be written"):
        lab.run.save()
    (told,) = lab.recorder.close()
    assert isinstance(told, RunBroke)
    place.unlink()
    (run_id,) = reap(lab.store)
    late = lab.store.result(run_id)
    assert (late.status, late.open, late.error) == (Status.OK, False, None)
    assert "could not be written" in late.kept_late
    assert [each.status for each in late.findings] == [Status.OK]
    assert stages() == []


def in_a_process_that_is_killed(work: Callable[[], object]) -> None:
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("saved", [True, False])
def test_a_jupyterlab_that_is_killed_leaves_a_record_that_is_true(lab: Lab, saved: bool) -> None:
    def work() -> None:
        run = lab.run
        if saved:
            lab.show(finding(Status.OK))
            run.save()
        Journal(run.journal).write(applied().model_copy(update={"state": ActionState.APPLYING}))

    in_a_process_that_is_killed(work)
    assert len(reap(lab.store)) == 1
    (killed,) = lab.records()
    assert (killed.open, killed.status, killed.exit_code) == (False, Status.UNKNOWN, 70)
    assert "JupyterLab was killed" in (killed.error or "")
    assert killed.seal
    assert [action.state for action in killed.actions] == [ActionState.APPLYING]
    assert len(killed.findings) == saved
    assert stages() == []
    assert reap(lab.store) == []


def test_a_jupyterlab_that_is_killed_while_somebody_only_looked_leaves_nothing(lab: Lab) -> None:
    def look() -> None:
        lab.run.save()

    in_a_process_that_is_killed(look)
    assert len(stages()) == 1
    assert reap(lab.store) == []
    assert (lab.records(), stages()) == ([], [])


def test_a_run_that_had_ended_is_left_as_it_was_when_jupyterlab_is_killed(lab: Lab) -> None:
    def work() -> None:
        lab.show(finding(Status.OK))
        lab.run.save()
        lab.run.end()

    in_a_process_that_is_killed(work)
    assert reap(lab.store) == []
    (ended,) = lab.records()
    assert (ended.error, ended.open, bool(ended.seal)) == (None, False, True)


def test_copies_that_cannot_be_made_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a-file"))
    with pytest.raises(ConfigError, match=r"cannot be copied to .* set XDG_STATE_HOME"):
        working_folder()


def test_a_copy_that_is_closed_and_opened_again_has_a_record_of_its_own(lab: Lab) -> None:
    lab.show(finding(Status.CRIT))
    lab.run.save()
    (first,) = lab.records()
    lab.recorder.forget(PAUSE)
    assert opened(lab.copy, goes_on=False)
    lab.run.save()
    (kept,) = lab.records()  # reading alone leaves no record
    assert kept.seal
    assert kept == first.model_copy(update={"open": False, "seal": kept.seal})

    lab.show(finding(Status.OK))
    lab.run.save()
    second, kept = lab.records()
    assert second.run_id != first.run_id
    assert [each.status for each in second.findings] == [Status.OK]
    assert [each.status for each in kept.findings] == [Status.CRIT]
