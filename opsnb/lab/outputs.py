"""What the outputs of a working copy say: on which target its cells were run, and what failed."""

from __future__ import annotations

from typing import Any

from opsnb.headless.execute import failure
from opsnb.model import TARGET_KEY


def last_target(notebook: dict[str, Any]) -> str | None:
    """Return the target of the cell that was run last of those that tell one."""
    told = [
        (_when_run(cell), target)
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if (target := target_of(output))
    ]
    return max(told)[1] if told else None


def _when_run(cell: dict[str, Any]) -> tuple[str, int]:
    """Return what is greater the later a cell was run: JupyterLab notes when, of each kernel."""
    noted = cell["metadata"].get("execution", {})
    return noted.get("iopub.execute_input", ""), cell.get("execution_count") or 0


def target_of(output: dict[str, Any]) -> str | None:
    """Return the target that `output` tells of, None for what tells of none."""
    target: str | None = output.get("metadata", {}).get(TARGET_KEY)
    return target


def first_failure(notebook: dict[str, Any]) -> tuple[int, str | None]:
    """Return the exit code and the sentence for the first cell that shows an error, if one does."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error":
                told = output.get("ename", ""), output.get("evalue", "")
                return failure(*told, cell.get("execution_count"))
    return 0, None
