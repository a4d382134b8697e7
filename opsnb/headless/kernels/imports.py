"""The imports of runbooks, to be executed before they run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from opsnb.catalog import RunbookInfo
from opsnb.config.places import find_config
from opsnb.config.sources import sources

_SESSION = "from opsnb.runbook import warm_up; warm_up()"
_CONFIG = "import pathlib, opsnb.config.file as f; f.read_toml(pathlib.Path({path!r}))"
# Charts are warmed up only if a runbook draws some: matplotlib takes as long to import as all else.
_DRAWS = re.compile(r"\b(charts|watching)\b")
_CHARTS = "from opsnb.view import charts; charts.warm_up({count})"
_CHART = re.compile(r"\bcharts\.\w+\(")
_FIGURE = (
    "import io, matplotlib.figure as drawn; drawn.Figure().subplots().figure.savefig(io.BytesIO())"
)
# A system's package imports its checks and its driver when one of them is first used.
_USED = "import {module} as used; used.{name}"


def imports(runbooks: Iterable[RunbookInfo]) -> list[str]:
    """Return the import statements of the code cells of `runbooks`, each once, and what they use.

    They begin with the folder of the modules beside one's own runbooks. What the first finding or
    the first figure of matplotlib would prepare is prepared too.
    """
    statements: dict[str, None] = {}
    most_charts = 1
    if modules := sources(with_packages=False).modules:
        statements[f"import sys; sys.path.extend({modules!r})"] = None
    for runbook in runbooks:
        code = [cell["source"] for cell in runbook.cells if cell["cell_type"] == "code"]
        statements |= dict.fromkeys(_statements(code))
        most_charts = max(most_charts, len(_CHART.findall("\n".join(code))))
    if "from opsnb import Runbook" in statements:
        statements[_SESSION] = None
        if config := find_config():
            statements[_CONFIG.format(path=str(config.resolve()))] = None
    if any(_DRAWS.search(statement) for statement in statements):
        statements[_CHARTS.format(count=most_charts)] = None
    if any("matplotlib" in statement for statement in statements):
        statements[_FIGURE] = None
    return list(statements)


def _statements(cells: Iterable[str]) -> Iterator[str]:
    nodes = [node for source in cells for node in _nodes(source)]
    modules: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {
                each.asname or each.name: f"{node.module}.{each.name}" for each in node.names
            }
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = node.value.id
            if name in modules:
                yield _USED.format(module=modules[name], name=node.attr)


def _nodes(source: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(source)))
    except SyntaxError:  # IPython's own syntax, such as %matplotlib
        return []
