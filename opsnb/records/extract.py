"""Read an executed notebook: it alone is the whole truth of a run.

Findings and actions stand in the notebook's outputs; what they do not tell (who, when, which
commit, how it ended) stands in its metadata, under `opsnb`: the fields of `RunResult` without
`findings` and `actions`. From both, `result.json` can be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from opsnb.errors import UsageError
from opsnb.model import (
    ACTION_MIME,
    FINDING_MIME,
    FINDINGS_MIME,
    TABLE_MIME,
    ActionRecord,
    ActionState,
    Finding,
    RunResult,
    Table,
    superseded,
)
from opsnb.view import findings as view

METADATA_KEY = "opsnb"
_FROM_OUTPUTS = {"findings", "actions"}
_Model = TypeVar("_Model", bound=BaseModel)


def findings(notebook: dict[str, Any]) -> list[Finding]:
    """Return the findings in the outputs of `notebook`, in the order of its cells.

    All of them are returned: a cell that is run again replaces its outputs, so a check that stands
    twice was made twice, e.g. before and after an action; what was measured again after an action
    is marked as superseded. A malformed finding (truncated, written by hand) is left out.
    """
    found = [
        finding
        for data in _outputs(notebook)
        for each in (
            *([data[FINDING_MIME]] if FINDING_MIME in data else ()),
            *_listed(data.get(FINDINGS_MIME)),
        )
        if (finding := _valid(each, Finding))
    ]
    return superseded(found, actions(notebook))


def _listed(data: object) -> list[Any]:
    return data if isinstance(data, list) else []


def actions(notebook: dict[str, Any]) -> list[ActionRecord]:
    """Return the journals of the actions in the outputs of `notebook`, in the order of its cells.

    An action tells its journal before and after every step; the last that was told counts.
    """
    told = _emitted(notebook, ACTION_MIME, ActionRecord)
    return list({record.id: record for record in told}.values())


def tables(notebook: dict[str, Any]) -> list[Table]:
    """Return the tables in the outputs of `notebook`, in the order of its cells."""
    return list(_emitted(notebook, TABLE_MIME, Table))


def executed(notebook: dict[str, Any]) -> bool:
    """Whether any of its cells has been run, or has an output all the same."""
    return any(cell.get("execution_count") or cell.get("outputs") for cell in notebook["cells"])


def merge(notebook: dict[str, Any], journal: Iterable[ActionRecord]) -> None:
    """Put into the outputs of `notebook` what they do not tell yet of the actions in `journal`.

    A kernel that is killed has written its journal, but its outputs may never have arrived.
    """
    shown = {record.id: record for record in actions(notebook)}
    for record in journal:
        if record.id not in shown:
            _cell_at_work(notebook).setdefault("outputs", []).append(_output(record))
        elif _how_far(record) > _how_far(shown[record.id]):
            _replace_last(notebook, record)


_ORDER = (ActionState.PLANNED, ActionState.APPLYING)


def _how_far(record: ActionRecord) -> tuple[int, int, bool]:
    """Return what is greater the later a journal was told."""
    state = _ORDER.index(record.state) if record.state in _ORDER else len(_ORDER)
    return state, record.applied, record.verified is not None


def _cell_at_work(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the code cell that was being executed when `notebook` was last saved, or ended.

    What papermill notes tells: a notebook that is going on is saved after each cell, so that the
    one behind those that it knows to have begun is at work. Where it notes nothing, as in
    JupyterLab, that is the one that was run last.
    """
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    begun = [i for i, cell in enumerate(cells) if _noted(cell).get("start_time")]
    if not begun:
        return max(cells, key=lambda cell: cell.get("execution_count") or 0)
    last = begun[-1]
    is_over = bool(_noted(notebook).get("end_time"))
    at_work = is_over or not _noted(cells[last]).get("end_time")
    found: dict[str, Any] = cells[last if at_work else min(last + 1, len(cells) - 1)]
    return found


def _noted(part: dict[str, Any]) -> dict[str, Any]:
    noted: dict[str, Any] = part.get("metadata", {}).get("papermill") or {}
    return noted


def _output(record: ActionRecord) -> dict[str, Any]:
    data = {
        ACTION_MIME: record.model_dump(mode="json"),
        "text/html": view.action_html(record),
        "text/plain": view.action_text(record),
    }
    return {"output_type": "display_data", "metadata": {}, "data": data}


def _replace_last(notebook: dict[str, Any], record: ActionRecord) -> None:
    """Have the last output that tells of the action of `record` tell what that tells."""
    told = [
        output
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if isinstance(data := output.get("data", {}).get(ACTION_MIME), dict)
        and data.get("id") == record.id
    ]
    told[-1]["data"] = _output(record)["data"]


def stamp(notebook: dict[str, Any], result: RunResult) -> None:
    """Write into the metadata of `notebook` what its outputs do not tell about the run."""
    fields = result.model_dump(mode="json", exclude=_FROM_OUTPUTS)
    notebook.setdefault("metadata", {})[METADATA_KEY] = fields


def rebuild(notebook: dict[str, Any]) -> RunResult:
    """Return the result of the run that left `notebook`, from the notebook alone.

    Raises UsageError when the notebook is not the record of a run.
    """
    fields = notebook.get("metadata", {}).get(METADATA_KEY)
    if not isinstance(fields, dict):
        raise UsageError(
            "The notebook says nothing about a run in its metadata, so it is not a record; "
            "run it with: opsnb run"
        )
    try:
        return RunResult.model_validate(
            {**fields, "findings": findings(notebook), "actions": actions(notebook)}
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"The notebook's metadata about its run are damaged at '{place}': {first['msg']}."
        ) from error


def _emitted(notebook: dict[str, Any], mime: str, model: type[_Model]) -> Iterator[_Model]:
    """Yield what the outputs hold under `mime`, cell by cell; what is malformed is left out."""
    for data in _outputs(notebook):
        if mime in data and (valid := _valid(data[mime], model)):
            yield valid


def _outputs(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for cell in notebook.get("cells", []):
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def _valid(data: object, model: type[_Model]) -> _Model | None:
    try:
        return model.model_validate(data)
    except ValidationError:
        return None
