"""The cells of a working copy: read, fill in and disarm its parameters."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

Notebook = dict[str, Any]

_TAGS = ("parameters", "injected-parameters")
_DISARMED: dict[str, Any] = {"apply": False, "confirm": ""}
# For a cell that cannot be parsed, because it is still being typed.
_ARMED_LINE = re.compile(
    r"^(?P<start>\s*(?P<name>apply|confirm)\b[^=\n]*=[ \t]*)(?P<value>.*)$", re.M
)


def parameters(notebook: Notebook) -> dict[str, Any]:
    """Return the parameters that the cells set to literal values.

    Empty while one of the cells cannot be parsed: it may override another cell.
    """
    values: dict[str, Any] = {}
    for cell in _parameter_cells(notebook):
        try:
            values |= _assigned(_source(cell))
        except SyntaxError:
            return {}
    return values


def fill_in(notebook: Notebook, values: Mapping[str, Any]) -> None:
    """Write `values` into the parameters cell, keeping types and comments."""
    for cell in _parameter_cells(notebook):
        cell["source"] = _with_values(_source(cell), values)


def disarm(notebook: Notebook) -> bool:
    """Set `apply` to False and clear `confirm` in every cell; return whether one was armed."""
    was_armed = False
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            before = _source(cell)
            after = _disarmed(before)
            if after != before:
                cell["source"], was_armed = after, True
    return was_armed


def clear(notebook: Notebook) -> None:
    """Remove every output and execution time."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            cell["metadata"].pop("execution", None)


def _parameter_cells(notebook: Notebook) -> Iterator[dict[str, Any]]:
    """Yield the cells that set parameters, defaults first."""
    for tag in _TAGS:
        for cell in notebook["cells"]:
            if tag in cell["metadata"].get("tags", ()):
                yield cell


def _source(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def _assigned(source: str) -> dict[str, Any]:
    values = {}
    for name, value in _assignments(ast.parse(source)):
        with suppress(ValueError, TypeError):
            values[name] = ast.literal_eval(value)
    return values


def _assignments(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)], ast.expr() as value) | ast.AnnAssign(
                ast.Name(name), _, ast.expr() as value
            ):
                yield name, value


def _with_values(source: str, values: Mapping[str, Any]) -> str:
    places = [
        (value, _literal(values[name]))
        for name, value in _assignments(ast.parse(source))
        if name in values
    ]
    return _replaced(source, places)


def _literal(value: Any) -> str:
    """Return `value` as Python source; text in double quotes, as in the runbooks."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _disarmed(source: str) -> str:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return _ARMED_LINE.sub(
            lambda line: line["start"] + _literal(_DISARMED[line["name"]]), source
        )
    places = [(value, _literal(_DISARMED[name])) for name, value in _armed(tree)]
    return _replaced(source, places)


def _armed(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the values of `apply` and `confirm`, including in `Runbook(target, apply=True)`."""
    for name, value in _assignments(tree):
        if name in _DISARMED and not (isinstance(value, ast.Constant) and not value.value):
            yield name, value
    for node in ast.walk(tree):
        for given in node.keywords if isinstance(node, ast.Call) else ():
            value = given.value
            if given.arg in _DISARMED and isinstance(value, ast.Constant) and value.value:
                yield given.arg, value


def _replaced(source: str, places: Sequence[tuple[ast.expr, str]]) -> str:
    """Return `source` with some expressions replaced."""
    lines = [line.encode() for line in source.split("\n")]  # the syntax tree counts in bytes
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    content = b"\n".join(lines)
    spans = sorted(
        (
            starts[node.lineno - 1] + node.col_offset,
            starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0),
            text.encode(),
        )
        for node, text in places
    )
    for start, end, text in reversed(spans):
        content = content[:start] + text + content[end:]
    return content.decode()
