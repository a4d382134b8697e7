"""Read an executed notebook: it alone is the whole truth of a run.

Findings and actions stand in the notebook's outputs; what they do not tell (who, when, which
commit, how it ended) stands in its metadata, under `opsnb`: the fields of `RunResult` without
`findings` and `actions`. From both, `result.json` can be made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from opsnb.errors import UsageError
from opsnb.model import ACTION_MIME, FINDING_MIME, ActionRecord, Finding, RunResult

METADATA_KEY = "opsnb"
_FROM_OUTPUTS = {"findings", "actions"}


def findings(notebook: dict[str, Any]) -> list[Finding]:
    """Return the findings in the outputs of `notebook`, in the order of its cells.

    All of them count: a cell that is run again replaces its outputs, so a check that stands twice
    was made twice, e.g. before and after an action. A finding that is malformed (cut off,
    written by hand) is left out.
    """
    found = []
    for data in _emitted(notebook, FINDING_MIME):
        try:
            found.append(Finding.model_validate(data))
        except ValidationError:
            continue
    return found


def actions(notebook: dict[str, Any]) -> list[ActionRecord]:
    """Return the journals of the actions in the outputs of `notebook`, in the order of its cells.

    An action tells its journal before and after every step; the last that was told counts.
    """
    found: dict[str, ActionRecord] = {}
    for data in _emitted(notebook, ACTION_MIME):
        try:
            record = ActionRecord.model_validate(data)
        except ValidationError:
            continue
        found[record.id] = record
    return list(found.values())


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


def _emitted(notebook: dict[str, Any], mime: str) -> Iterator[Any]:
    for cell in notebook.get("cells", []):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if mime in data:
                yield data[mime]
