"""The imports of runbooks, to be executed before they run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from opsnb.catalog import RunbookInfo
from opsnb.config.sources import sources

_DRAWS = re.compile(r"\b(charts|watching)\b")
_WARM_UP = "from opsnb.view import charts; charts.warm_up()"


def imports(runbooks: Iterable[RunbookInfo]) -> list[str]:
    """Return the import statements of the code cells of `runbooks`, each once.

    They begin with the folder of the modules beside one's own runbooks. Charts are warmed up only
    if a runbook draws some: matplotlib takes as long to import as all the rest.
    """
    statements: dict[str, None] = {}
    if modules := sources(with_packages=False).modules:
        statements[f"import sys; sys.path.extend({modules!r})"] = None
    for runbook in runbooks:
        for cell in runbook.cells:
            if cell["cell_type"] == "code":
                statements |= dict.fromkeys(_statements(cell["source"]))
    if any(_DRAWS.search(statement) for statement in statements):
        statements[_WARM_UP] = None
    return list(statements)


def _statements(source: str) -> list[str]:
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:  # IPython's own syntax, such as %matplotlib
        return []
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
