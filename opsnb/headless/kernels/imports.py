"""What runbooks import: to be imported before they run."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from opsnb.catalog import RunbookInfo


def imports(runbooks: Iterable[RunbookInfo]) -> list[str]:
    """Return the import statements of the code cells of `runbooks`, each once."""
    found: dict[str, None] = {}
    for runbook in runbooks:
        for cell in runbook.cells:
            if cell["cell_type"] == "code":
                found |= dict.fromkeys(_statements(cell["source"]))
    return list(found)


def _statements(source: str) -> list[str]:
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:  # IPython's own syntax, such as %matplotlib
        return []
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
