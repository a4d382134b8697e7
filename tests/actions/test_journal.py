"""What is told of actions before they are done can be read again, whatever cut it off."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsnb.actions import journal
from opsnb.actions.journal import Continued, Journal, read
from opsnb.errors import RunBroke
from opsnb.model import ActionRecord, ActionState


def record(id_: str = "a1", **told: object) -> ActionRecord:
    fields: dict[str, object] = {"id": id_, "name": "queues.clean", "title": "C", "target": "demo"}
    return ActionRecord.model_validate({**fields, **told})


def test_the_last_state_of_each_action_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    ours = Journal(path)
    sample = [{"job": str(number)} for number in range(100)]
    first = record(summary="Clean 9.", planned=9, sample=sample, terms={"until_ms": 5})
    second = record("b2", summary="Clean 2.")
    for told in (first, second, *(first.model_copy(update={"applied": n}) for n in range(1, 9))):
        ours.write(told)
    assert read(path) == [first.model_copy(update={"applied": 8}), second]
    # What has been told once is not told again, as a plan may be long and its work too.
    assert len(path.read_text()) < 2 * len(first.model_dump_json()) + 1000


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    ours = Journal(path)
    ours.write(record())
    whole = path.read_bytes()
    ours.write(record(state=ActionState.APPLYING))
    for end in range(len(whole), path.stat().st_size):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(path.read_bytes()[:end])
        assert read(cut)[0].state in (ActionState.PLANNED, ActionState.APPLYING)
    with path.open("ab") as file:
        file.write(b'\n{"id": "a1", "sta')
    ours.write(record(state=ActionState.APPLIED))
    assert [told.state for told in read(path)] == [ActionState.APPLIED]


def test_what_could_not_be_written_is_written_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    ours = Journal(path)
    ours.write(record())
    path.rename(tmp_path / "kept")
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        ours.write(record(planned=3))
    path.unlink()
    (tmp_path / "kept").rename(path)
    ours.write(record(planned=3, applied=1))
    assert [(told.planned, told.applied) for told in read(path)] == [(3, 1)]


def test_there_may_be_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal().write(record())
    assert read(tmp_path / "absent") == []
    monkeypatch.delenv(journal.JOURNAL, raising=False)
    monkeypatch.delenv(journal.RESUME, raising=False)
    Journal.of_run().write(record())
    assert journal.continued() is None
    assert list(tmp_path.iterdir()) == []


def test_each_former_action_is_taken_once_in_order() -> None:
    told = [
        record("a1", arguments={"queue": "mail", "older_than": 1}),
        record("a2", arguments={"queue": "mail", "older_than": 2}),
        record("a3", arguments={"older_than": 1, "queue": "mail"}),
    ]
    continued = Continued(run_id="r1", command="", actions=told)
    asked = record("new", arguments={"queue": "mail", "older_than": 1})
    taken = [continued.take(asked) for _ in range(3)]
    assert [one and one.id for one in taken] == ["a1", "a3", None]
    assert continued.take(record("new", arguments={"queue": "x"})) is None


def test_without_knowing_what_was_done_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "resumed.json"
    monkeypatch.setenv(journal.RESUME, str(path))
    with pytest.raises(RunBroke, match="nothing was begun"):
        journal.continued()
    path.write_text(Continued(run_id="r1", command="", actions=[record()]).model_dump_json())
    found = journal.continued()
    assert found is not None
    assert found.actions == [record()]
    assert journal.continued() is found
