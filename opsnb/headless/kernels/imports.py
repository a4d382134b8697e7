"""What runbooks import: to be imported before they run."""

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

    Before them comes what lets them import the modules that stand beside one's own runbooks.

    When one of them draws charts, these are warmed up as well: matplotlib takes as long to import
    as all the rest, which those that draw none are spared.
    """
    found: dict[str, None] = {}
    if modules := sources(with_packages=False).modules:
        found[f"import sys; sys.path.extend({modules!r})"] = None
    for runbook in runbooks:
        for cell in runbook.cells:
            if cell["cell_type"] == "code":
                found |= dict.fromkeys(_statements(cell["source"]))
    if any(_DRAWS.search(statement) for statement in found):
        found[_WARM_UP] = None
    return list(found)


def _statements(source: str) -> list[str]:
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:  # IPython's own syntax, such as %matplotlib
        return []
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
