"""A run that did not come to its end is continued: nothing is done twice, nothing is left out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import UnknownTarget, UsageError
from opsnb.headless import resume
from opsnb.headless.order import Order
from opsnb.model import ActionRecord, ActionState, RunResult, Status, now
from opsnb.records.staging import Stage
from opsnb.records.store import Store
from opsnb.redaction import MASK, Redactor
from tests.cli.test_cli import opsnb as cli
from tests.headless import moving
from tests.headless.notebook import write
from tests.records.test_store import make_notebook, make_result
from tests.runs import run

BREAK = 'import pathlib\nif not pathlib.Path({path!r}).exists():\n    raise ValueError("broken")'
RUNBOOK = "drill/move"
SUMMARY = "20261123T071500Z-drill.move-all-0001"


@pytest.fixture
def mended(tmp_path: Path) -> Path:
    """A file without which the runbook breaks behind its action."""
    return tmp_path / "mended"


@pytest.fixture
def runbook(tmp_path: Path, mended: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runbook in a repository of its own: it acts, and breaks until it is mended."""
    root = tmp_path / "notebooks"
    monkeypatch.setattr(catalog, "share", lambda _: root)
    path = root / f"{RUNBOOK}.ipynb"
    path.parent.mkdir(parents=True)
    cells = (moving.BEGIN, moving.ACT, BREAK.format(path=str(mended)), moving.ACT, moving.LOOK)
    return write(path, moving.PARAMETERS, *cells)


@pytest.fixture
def clean(demo: Target) -> Iterator[Target]:
    moving.forget(demo)
    yield demo
    moving.forget(demo)


def run_it(**parameters: object) -> RunResult:
    info = catalog.runbook(RUNBOOK)
    values = info.validate({"apply": True, **parameters})
    target = load_config().target(values["target"])
    return run(Order(info, target, values, incident="i1"))


def resumed(run_id: str) -> RunResult:
    return run(resume.order(run_id, load_config()))


def test_a_run_that_broke_is_continued_and_repeats_nothing(
    clean: Target, runbook: Path, mended: Path
) -> None:
    first = run_it(note="mine")
    assert (first.exit_code, len(first.actions)) == (70, 1)
    second = resumed(first.run_id)  # not mended yet
    assert (second.exit_code, second.parent) == (70, first.run_id)
    mended.touch()
    third = resumed(second.run_id)
    assert (third.exit_code, third.parent, third.error) == (0, second.run_id, None)
    assert third.parameters == first.parameters
    assert third.incident == "i1"
    verified, last = third.actions
    assert (verified.state, verified.verified, verified.continues) == (
        ActionState.APPLIED, True, first.run_id,
    )  # fmt: skip
    assert f"Applied by run {first.run_id}" in verified.summary
    assert (last.continues, last.planned) == (None, 0)  # the second act of the notebook is new
    assert moving.done(clean) == {f"item-{n}": 1 for n in range(moving.ITEMS)} | {"bump": 0}


def test_what_cannot_be_known_is_asked_with_the_commands_for_each_answer(
    clean: Target, runbook: Path, mended: Path
) -> None:
    mended.touch()
    first = run_it(what="bump")
    assert first.error is None
    cut = first.actions[0].model_copy(update={"state": ActionState.APPLYING, "applied": 2})
    killed = keep(first, actions=[cut], error="The run was killed before its end.")
    second = resumed(killed.run_id)
    assert second.exit_code == 77
    assert second.error is not None
    command = f"opsnb run {RUNBOOK} -t demo -p what=bump"
    assert f"To apply the plan of now: {command} --apply." in second.error
    assert f"with 2 of {moving.ITEMS} steps known to be done" in second.error
    assert "Count 6 on from 12." in second.error
    assert moving.done(clean)["bump"] == 12
    assert resumed(second.run_id).error == second.error


def keep(result: RunResult, **changes: object) -> RunResult:
    """Keep a record like that of `result`, as of a run of its own, and return its result."""
    altered = result.model_copy(update=changes)
    store = Store(load_config().store)
    store.keep(altered, make_notebook(altered), Redactor())
    return store.result(altered.run_id)


def unfinished(path: Path, **changes: object) -> RunResult:
    """Return the result of a run of the runbook at `path` that was killed, as its record has it."""
    fields: dict[str, Any] = {
        "runbook": RUNBOOK,
        "runbook_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "target": "local",
        "parameters": {"target": "local", "what": "move", "note": "", "apply": True},
        "exit_code": 70,
        "error": "The run was killed before its end.",
    }
    return keep(make_result(**{**fields, **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"error": None, "exit_code": 0}, "ran to its end, so there is nothing to continue"),
        ({"open": True}, "still open in JupyterLab"),
        (
            {"run_id": SUMMARY, "fleet": SUMMARY, "target": "all"},
            "opsnb run drill/move --failed-of",
        ),
        ({"runbook_sha256": "0" * 64}, "drill/move has changed since .* add --allow-changed"),
        ({"parameters": {"note": f"x{MASK}"}}, "parameter note was kept without the secret in it"),
        ({"parameters": {"nota": ""}}, "has no parameter 'nota'. Did you mean 'note'?"),
        ({"parent": "20260101T000000Z-x-y-0000"}, "whose record is gone"),
    ],
)
def test_what_cannot_be_continued_is_refused_in_one_sentence(
    runbook: Path, changes: dict[str, object], words: str
) -> None:
    former = unfinished(runbook, **changes)
    with pytest.raises(UsageError, match=words) as refused:
        resume.order(former.run_id, load_config())
    assert "\n" not in str(refused.value)


def test_what_is_unknown_is_refused(runbook: Path) -> None:
    config = load_config()
    with pytest.raises(UsageError, match="There is no run 'nope'"):
        resume.order("nope", config)
    former = unfinished(runbook, target="gone", run_id="20261123T071500Z-drill.move-gone-0001")
    with pytest.raises(UnknownTarget):
        resume.order(former.run_id, config)
    here = unfinished(runbook)
    with pytest.raises(UsageError, match="is a run of drill/move, not of cache/clear"):
        resume.order(here.run_id, config, runbook="cache/clear")
    assert resume.order(here.run_id, config, runbook=RUNBOOK).resumes is not None
    runbook.unlink()
    with pytest.raises(UsageError, match="There is no runbook 'drill/move'"):
        resume.order(here.run_id, config)


def test_a_changed_notebook_is_continued_when_it_is_allowed(runbook: Path) -> None:
    former = unfinished(runbook, runbook_sha256="0" * 64)
    order = resume.order(former.run_id, load_config(), allow_changed=True)
    assert order.parameters == {**former.parameters, "hours": 24}  # which has come to it since


def test_only_the_last_run_of_a_story_is_continued(runbook: Path) -> None:
    first = unfinished(runbook)
    second = unfinished(runbook, parent=first.run_id)
    config = load_config()
    with pytest.raises(
        UsageError, match=rf"\. Continue that one: opsnb run --resume {second.run_id}"
    ):
        resume.order(first.run_id, config)
    assert resume.order(second.run_id, config).resumes is not None
    done = unfinished(runbook, parent=second.run_id, error=None)
    with pytest.raises(UsageError, match=f"continued by {done.run_id}, which ran to its end"):
        resume.order(second.run_id, config)


def test_of_two_who_continue_a_run_only_one_does(
    clean: Target, runbook: Path, mended: Path
) -> None:
    first = run_it()
    mended.touch()
    # Both were accepted; then one of them waited for the lock of the target.
    one, other = (resume.order(first.run_id, load_config()) for _ in range(2))
    moving.forget(clean)
    continued = run(one)
    assert continued.exit_code == 0
    with pytest.raises(UsageError, match=f"was continued by {continued.run_id}"):
        run(other)
    assert moving.done(clean) == {"bump": 0} | {f"item-{n}": 1 for n in range(moving.ITEMS)}


def test_a_run_is_continued_once_though_the_clock_was_set_back(runbook: Path) -> None:
    first = unfinished(runbook)
    earlier = unfinished(runbook, parent=first.run_id, started=first.started - timedelta(days=40))
    with pytest.raises(UsageError, match=f"was continued by {earlier.run_id}"):
        resume.order(first.run_id, load_config())


def test_a_run_is_continued_once_though_the_record_of_that_still_waits(runbook: Path) -> None:
    first = unfinished(runbook)
    store = Store(load_config().store)
    child = make_result(runbook=RUNBOOK, target="local", parent=first.run_id, error="Interrupted.")
    stage = Stage.open(store, child, make_notebook(child), Redactor())
    with pytest.raises(UsageError, match=f"was continued by {child.run_id}"):
        resume.order(first.run_id, load_config())
    stage.close()


def test_an_action_that_failed_half_way_is_reason_enough(runbook: Path) -> None:
    failed = acted("a", ActionState.FAILED, begun=True)
    former = unfinished(runbook, error=None, exit_code=2, actions=[failed])
    resumes = resume.order(former.run_id, load_config()).resumes
    assert resumes is not None
    assert resumes.actions == [failed.model_copy(update={"continues": former.run_id})]


def acted(name: str, state: ActionState, *, begun: bool, **more: object) -> ActionRecord:
    started = now() if begun else None
    fields = {"id": os.urandom(4).hex(), "name": name, "title": name, "target": "local"}
    return ActionRecord.model_validate({**fields, "state": state, "started": started, **more})


def test_of_a_story_the_newest_that_each_action_did_counts() -> None:
    applied, cut, planned = ActionState.APPLIED, ActionState.APPLYING, ActionState.PLANNED
    stories = [
        # what the runs say of one action, the oldest first, and whose word counts
        ([(applied, True)], 0),
        ([(applied, True), (applied, True)], 0),  # the second has only verified it
        ([(cut, True), (applied, True)], 1),
        ([(cut, True), (planned, False), (ActionState.REFUSED, False)], 0),
        ([(cut, True), (ActionState.INTERRUPTED, True), (planned, False)], 1),
        ([(planned, False), (ActionState.FAILED, False), (cut, True)], 2),
    ]
    for told, counts in stories:
        chain = [
            make_result(run_id=f"run-{number}", actions=[acted("a", state, begun=begun)])
            for number, (state, begun) in enumerate(told)
        ]
        (action,) = resume.merged(chain)
        assert (action.continues, action.id) == (f"run-{counts}", chain[counts].actions[0].id)


def test_equal_actions_of_a_run_keep_their_places() -> None:
    first = [acted("a", ActionState.APPLIED, begun=True, arguments={"n": n}) for n in (1, 1, 2)]
    second = [acted("a", ActionState.PLANNED, begun=False, arguments={"n": 2})]
    chain = [make_result(run_id="r1", actions=first), make_result(run_id="r2", actions=second)]
    assert [action.id for action in resume.merged(chain)] == [action.id for action in first]


def test_a_run_that_is_going_on_is_not_continued(
    runbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = make_result(runbook=RUNBOOK)
    source = json.loads(runbook.read_text())
    stage = Stage.open(Store(load_config().store), opening, source, Redactor())
    with pytest.raises(UsageError, match="is in progress: its kernel is still running"):
        resume.order(opening.run_id, load_config())
    stage.close()


def test_an_effect_that_is_gone_is_told(clean: Target, runbook: Path, mended: Path) -> None:
    first = run_it()
    mended.touch()
    moving.forget(clean)  # the effect is gone
    second = resumed(first.run_id)
    assert second.actions[0].verified is False
    assert second.findings[0].status is Status.WARN


def test_the_command_line_continues_a_run(demo: Target) -> None:
    path = catalog.share("notebooks") / "queues/pause.ipynb"
    parameters = {"target": "demo", "queue": "exports", "via": "redis", "apply": True}
    former = unfinished(path, runbook="queues/pause", target="demo", parameters=parameters)
    for extra in (("-t", "demo"), ("-p", "queue=x"), ("--apply",), ("--failed-of", "x")):
        refused = cli("run", "--resume", former.run_id, *extra)
        assert (refused.returncode, refused.stderr.count("\n")) == (64, 1)
        assert "Leave out -t, -p," in refused.stderr
    done = cli("run", "queues/pause", "--resume", former.run_id, "--json")
    assert done.returncode == 0, done.stderr
    result = RunResult.model_validate_json(done.stdout)
    assert (result.parent, result.parameters["queue"]) == (former.run_id, "exports")
    shown = cli("records", "show", result.run_id).stdout
    assert f"Continues  {former.run_id}" in shown
    assert cli("run", "--resume", result.run_id).returncode == 64
    assert cli("run", "queues/resume", "-p", "queue=exports", "--apply").returncode == 0


def test_a_record_that_can_be_continued_says_how(runbook: Path) -> None:
    former = unfinished(runbook, actions=[acted("a", ActionState.APPLYING, begun=True)])
    assert f"opsnb run --resume {former.run_id}" in shown_of(former)
    assert "--resume" not in shown_of(unfinished(runbook))  # it had changed nothing: run it anew


def shown_of(result: RunResult) -> str:
    return cli("records", "show", result.run_id, COLUMNS="200").stdout
