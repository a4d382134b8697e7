"""What differs between two runs: findings, numbers, parameters, and the runbook's source."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from opsnb.model import Finding, RunResult
from opsnb.records.history import Filters, past
from opsnb.records.reader import Reader

_CONTEXT = 1  # lines of source around a change
_MOST_LINES = 200  # of the difference of two sources
_INJECTED = "injected-parameters"


@dataclass(frozen=True)
class Changed:
    """A finding that is not the same in both runs; None where a run has none."""

    before: Finding | None
    after: Finding | None

    @property
    def kind(self) -> str:
        """`changed`, `appeared`, `went`, or `number` when only the number is another one."""
        if self.before is None:
            return "appeared"
        if self.after is None:
            return "went"
        return "number" if self.before.status == self.after.status else "changed"

    @property
    def either(self) -> Finding:
        """The later finding, if there is one."""
        found = self.after or self.before
        assert found is not None  # one of both is there
        return found

    @property
    def change(self) -> float | None:
        """How much its number grew, in its unit; None when there are not two."""
        before = self.before.value if self.before else None
        after = self.after.value if self.after else None
        return None if before is None or after is None else after - before


@dataclass(frozen=True)
class Diff:
    """What differs between the runs `before` and `after`."""

    before: RunResult
    after: RunResult
    findings: list[Changed]
    parameters: dict[str, tuple[Any, Any]]
    """The values in both runs by name; None where it is not set."""
    source: list[str] = field(default_factory=list)
    """Lines of a unified diff of the code cells."""

    @property
    def is_empty(self) -> bool:
        """Whether the runs are the same in all of this, and in how they ended."""
        ended = [(run.status, run.error) for run in (self.before, self.after)]
        return ended[0] == ended[1] and not (self.findings or self.parameters or self.source)

    def of(self, kind: str) -> list[Changed]:
        """Return the findings of one kind."""
        return [each for each in self.findings if each.kind == kind]

    def as_json(self) -> dict[str, Any]:
        """Return the difference as one JSON object."""
        return {
            "before": _run_as_json(self.before),
            "after": _run_as_json(self.after),
            "findings": [_changed_as_json(each) for each in self.findings],
            "parameters": {
                name: {"before": before, "after": after}
                for name, (before, after) in self.parameters.items()
            },
            "source": self.source,
        }


def compare(
    before: RunResult,
    after: RunResult,
    notebook_before: dict[str, Any] | None,
    notebook_after: dict[str, Any] | None,
) -> Diff:
    """Return what differs between two runs; sources are compared when both notebooks are there."""
    found = dict(_changed(before, after))
    names = sorted(before.parameters.keys() | after.parameters.keys())
    values = {name: (before.parameters.get(name), after.parameters.get(name)) for name in names}
    return Diff(
        before,
        after,
        sorted(found.values(), key=lambda each: -each.either.status.severity),
        {name: pair for name, pair in values.items() if pair[0] != pair[1]},
        list(_source_diff(notebook_before, notebook_after)),
    )


def run_before(reader: Reader, result: RunResult) -> str | None:
    """Return the id of the run before `result` of its runbook on its target, if there is one."""
    filters = Filters(runbook=result.runbook, target=result.target, until=result.started)
    found = next(past(reader, filters, 1), None)
    return found.run_id if found else None


def _changed(before: RunResult, after: RunResult) -> Iterator[tuple[str, Changed]]:
    first = {finding.key: finding for finding in before.counted}
    last = {finding.key: finding for finding in after.counted}
    for key in first | last:
        pair = Changed(first.get(key), last.get(key))
        if pair.kind != "number" or pair.change:
            yield key, pair


def _source_diff(before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[str]:
    if before is None or after is None:
        return
    lines = difflib.unified_diff(
        _source(before), _source(after), "before", "after", lineterm="", n=_CONTEXT
    )
    for count, line in enumerate(lines):
        if count >= _MOST_LINES:
            yield "... and more"
            return
        yield line


def _source(notebook: dict[str, Any]) -> list[str]:
    """Return the lines of the code cells, without the parameters that the run was given."""
    cells = (
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and _INJECTED not in cell.get("metadata", {}).get("tags", ())
    )
    return [line for cell in cells for line in ("".join(cell["source"]).splitlines() or [""])]


def _run_as_json(run: RunResult) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "runbook": run.runbook,
        "target": run.target,
        "status": run.status.value,
        "exit_code": run.exit_code,
        "error": run.error,
        "started": run.started.isoformat(),
        "runbook_sha256": run.runbook_sha256,
    }


def _changed_as_json(pair: Changed) -> dict[str, Any]:
    return {
        "key": pair.either.key,
        "name": pair.either.name,
        "kind": pair.kind,
        "before": _finding_as_json(pair.before),
        "after": _finding_as_json(pair.after),
        "change": pair.change,
    }


def _finding_as_json(finding: Finding | None) -> dict[str, Any] | None:
    keys = {"status", "value", "unit", "message"}
    return finding.model_dump(mode="json", include=keys) if finding else None
