"""Read a run from its executed notebook, which alone holds everything about it.

Findings and actions are in the notebook's outputs. The rest (who, when, which commit, how it ended)
is in its metadata under `opsnb`: the fields of `RunResult` without `findings` and `actions`.
`result.json` can be rebuilt from both.
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
from opsnb.records.seals import NOT_IN_NOTEBOOK
from opsnb.view.plans import action_html, action_text

METADATA_KEY = "opsnb"
_NOT_STAMPED: dict[str, bool | set[str]] = {
    "findings": True,
    "actions": True,
    "seal": NOT_IN_NOTEBOOK,
}
_Model = TypeVar("_Model", bound=BaseModel)


def findings(notebook: dict[str, Any]) -> list[Finding]:
    """Return the findings in the outputs of `notebook`, in the order of its cells.

    A cell that is run again replaces its outputs, so a check that appears twice ran twice, such as
    before and after an action; findings that were measured again after an action are marked as
    superseded. A malformed finding (truncated, written by hand) is left out.
    """
    valid = [
        finding
        for data in _outputs(notebook)
        for fields in (
            *([data[FINDING_MIME]] if FINDING_MIME in data else ()),
            *_listed(data.get(FINDINGS_MIME)),
        )
        if (finding := _valid(fields, Finding))
    ]
    return superseded(valid, actions(notebook))


def _listed(data: object) -> list[Any]:
    return data if isinstance(data, list) else []


def actions(notebook: dict[str, Any]) -> list[ActionRecord]:
    """Return the journals of the actions in the outputs of `notebook`, in the order of its cells.

    An action emits its journal before and after every step; the last one counts.
    """
    emitted = _emitted(notebook, ACTION_MIME, ActionRecord)
    return list({record.id: record for record in emitted}.values())


def tables(notebook: dict[str, Any]) -> list[Table]:
    """Return the tables in the outputs of `notebook`, in the order of its cells."""
    return list(_emitted(notebook, TABLE_MIME, Table))


def executed(notebook: dict[str, Any]) -> bool:
    """Whether any cell was run, or has an output."""
    return any(cell.get("execution_count") or cell.get("outputs") for cell in notebook["cells"])


def merge(notebook: dict[str, Any], journal: Iterable[ActionRecord]) -> None:
    """Add to the outputs of `notebook` what they lack of the actions in `journal`.

    A killed kernel has written its journal, but its last outputs may not have arrived.
    """
    shown = {record.id: record for record in actions(notebook)}
    for record in journal:
        if record.id not in shown:
            _cell_at_work(notebook).setdefault("outputs", []).append(_output(record))
        elif _how_far(record) > _how_far(shown[record.id]):
            _replace_last(notebook, record)


_ORDER = (ActionState.PLANNED, ActionState.APPLYING)


def _how_far(record: ActionRecord) -> tuple[int, int, bool]:
    """Return a key that grows with the progress of an action."""
    state = _ORDER.index(record.state) if record.state in _ORDER else len(_ORDER)
    return state, record.applied, record.verified is not None


def _cell_at_work(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the code cell that was running when `notebook` was last saved, or when it ended.

    papermill saves a notebook after each cell and notes which cells have begun, so the next one is
    running. JupyterLab notes nothing: there it is the cell that was run last.
    """
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    begun = [i for i, cell in enumerate(cells) if _noted(cell).get("start_time")]
    if not begun:
        return max(cells, key=lambda cell: cell.get("execution_count") or 0)
    last = begun[-1]
    is_over = bool(_noted(notebook).get("end_time"))
    at_work = is_over or not _noted(cells[last]).get("end_time")
    cell: dict[str, Any] = cells[last if at_work else min(last + 1, len(cells) - 1)]
    return cell


def _noted(part: dict[str, Any]) -> dict[str, Any]:
    noted: dict[str, Any] = part.get("metadata", {}).get("papermill") or {}
    return noted


def _output(record: ActionRecord) -> dict[str, Any]:
    data = {
        ACTION_MIME: record.model_dump(mode="json"),
        "text/html": action_html(record),
        "text/plain": action_text(record),
    }
    return {"output_type": "display_data", "metadata": {}, "data": data}


def _replace_last(notebook: dict[str, Any], record: ActionRecord) -> None:
    """Replace the last output of the action of `record`."""
    outputs = [
        output
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if isinstance(data := output.get("data", {}).get(ACTION_MIME), dict)
        and data.get("id") == record.id
    ]
    outputs[-1]["data"] = _output(record)["data"]


def stamp(notebook: dict[str, Any], result: RunResult) -> None:
    """Write into the metadata of `notebook` what its outputs lack of `result`."""
    fields = result.model_dump(mode="json", exclude=_NOT_STAMPED)
    notebook.setdefault("metadata", {})[METADATA_KEY] = fields


def rebuild(notebook: dict[str, Any]) -> RunResult:
    """Return the result of the run that left `notebook`, from the notebook alone.

    Raises UsageError when the notebook is not the record of a run.
    """
    fields = notebook.get("metadata", {}).get(METADATA_KEY)
    if not isinstance(fields, dict):
        raise UsageError(
            "The notebook's metadata has no run, so it is not a record. Run it with: opsnb run"
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
    """Yield the outputs of type `mime`, cell by cell; malformed ones are left out."""
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
