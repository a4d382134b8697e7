"""The executed notebook alone is the whole truth."""

from __future__ import annotations

from typing import Any

import pytest

from opsnb.errors import UsageError
from opsnb.model import ACTION_MIME, FINDING_MIME, ActionRecord, ActionState, Finding, Status
from opsnb.records.extract import actions, findings, rebuild, stamp
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
