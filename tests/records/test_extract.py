"""The executed notebook alone is the whole truth."""

from __future__ import annotations

from typing import Any

import pytest

from opsnb.errors import UsageError
from opsnb.model import ACTION_MIME, FINDING_MIME, ActionRecord, ActionState, Finding, Status
from opsnb.records.extract import actions, findings, merge, rebuild, stamp
from tests.records.test_store import make_notebook, make_result


def test_a_result_is_rebuilt_from_the_notebook_alone() -> None:
    planned = ActionRecord(id="a1", name="queues.pause", title="Pause", target="demo", planned=1)
    applied = planned.model_copy(update={"state": ActionState.APPLIED, "applied": 1})
    result = make_result(actions=[applied], error="The kernel died.", incident="2026-11-23-redis")
    journal = ({"data": {ACTION_MIME: told.model_dump(mode="json")}} for told in (planned, applied))
    notebook = make_notebook(result, *journal)
    stamp(notebook, result)
    assert rebuild(notebook) == result
    assert "findings" not in notebook["metadata"]["opsnb"]


def test_findings_keep_the_order_of_the_cells_and_repeat() -> None:
    def cell(status: Status) -> dict[str, Any]:
        finding = Finding(name="queues.depth", status=status, message="x")
        return {"outputs": [{"data": {FINDING_MIME: finding.model_dump(mode="json")}}]}

    notebook = {"cells": [cell(Status.CRIT), {"cell_type": "markdown"}, cell(Status.OK)]}
    assert [finding.status for finding in findings(notebook)] == [Status.CRIT, Status.OK]


@pytest.mark.parametrize("data", [None, [], "x", {}, {"status": "great", "message": "x"}])
def test_a_malformed_finding_is_left_out(data: Any) -> None:
    notebook = {"cells": [{"outputs": [{"data": {FINDING_MIME: data, ACTION_MIME: "x"}}]}]}
    assert findings(notebook) == []
    assert actions(notebook) == []


@pytest.mark.parametrize("metadata", [{}, {"opsnb": 1}, {"opsnb": {}}])
def test_a_notebook_that_is_no_record_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="The notebook"):
        rebuild({"cells": [], "metadata": metadata})


def papermilled(*states: str, over: bool = False) -> dict[str, Any]:
    """Return a notebook with one code cell for each state, as papermill notes it."""
    times: dict[str, Any] = {
        "pending": {"start_time": None, "end_time": None},
        "running": {"start_time": "2026-11-23T07:15:00", "end_time": None},
        "ended": {"start_time": "2026-11-23T07:15:00", "end_time": "2026-11-23T07:15:01"},
    }
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "metadata": {}, "source": "# One"}]
    for state in states:
        noted = {"papermill": {"status": state, **times[state]}}
        cells.append({"cell_type": "code", "metadata": noted, "source": state, "outputs": []})
    end = "2026-11-23T07:16:00" if over else None
    return {"cells": cells, "metadata": {"papermill": {"end_time": end}}}


APPLYING = ActionRecord(
    id="a1", name="queues.pause", title="Pause", target="demo", state=ActionState.APPLYING
)


@pytest.mark.parametrize(
    ("notebook", "cell"),
    [
        # The runner was killed; the notebook was saved behind the cell before.
        (papermilled("ended", "ended", "pending", "pending"), 3),
        (papermilled("pending", "pending"), 1),
        (papermilled("ended", "ended"), 2),
        # The runner still watches, or the kernel died under it.
        (papermilled("ended", "running", "pending"), 2),
        (papermilled("ended", "ended", "pending", over=True), 2),
    ],
)
def test_a_journal_that_no_output_tells_goes_to_the_cell_at_work(
    notebook: dict[str, Any], cell: int
) -> None:
    merge(notebook, [APPLYING])
    assert actions(notebook) == [APPLYING]
    (output,) = notebook["cells"][cell]["outputs"]
    assert output["output_type"] == "display_data"
    assert "APPLYING" in output["data"]["text/plain"]
    assert "Pause" in output["data"]["text/html"]


def test_the_newer_of_journal_and_output_counts() -> None:
    def told(state: ActionState, applied: int = 0, verified: bool | None = None) -> ActionRecord:
        changes = {"state": state, "applied": applied, "verified": verified}
        return APPLYING.model_copy(update=changes)

    states = [
        told(ActionState.PLANNED),
        told(ActionState.APPLYING),
        told(ActionState.APPLYING, 5),
        told(ActionState.APPLIED, 5),
        told(ActionState.APPLIED, 5, verified=True),
    ]
    other = {"output_type": "display_data", "data": {"text/plain": "something else"}}
    for shown, output in enumerate(states):
        for written, line in enumerate(states):
            notebook = papermilled("ended", "ended")
            merge(notebook, [output])
            notebook["cells"][2]["outputs"].append(other)
            merge(notebook, [line])
            assert actions(notebook) == [states[max(shown, written)]]
            assert len(notebook["cells"][2]["outputs"]) == 2
    refused = told(ActionState.REFUSED)
    notebook = papermilled("running")
    merge(notebook, [states[1]])
    merge(notebook, [refused])
    assert actions(notebook) == [refused]
