"""Read the outputs of a working copy: the target of its cells, and the first failure."""

from __future__ import annotations

from typing import Any

from opsnb.headless.execute import failure
from opsnb.model import TARGET_KEY


def last_target(notebook: dict[str, Any]) -> str | None:
    """Return the target of the last cell that reports one."""
    targets = [
        (_when_run(cell), target)
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if (target := target_of(output))
    ]
    return max(targets)[1] if targets else None


def _when_run(cell: dict[str, Any]) -> tuple[str, int]:
    """Return a key that grows with the time of execution, as JupyterLab notes it."""
    noted = cell["metadata"].get("execution", {})
    return noted.get("iopub.execute_input", ""), cell.get("execution_count") or 0


def target_of(output: dict[str, Any]) -> str | None:
    """Return the target of an output; None if it has none."""
    target: str | None = output.get("metadata", {}).get(TARGET_KEY)
    return target


def first_failure(notebook: dict[str, Any]) -> tuple[int, str | None]:
    """Return the exit code and the sentence of the first cell with an error, if any."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error":
                name, value = output.get("ename", ""), output.get("evalue", "")
                return failure(name, value, cell.get("execution_count"))
    return 0, None
