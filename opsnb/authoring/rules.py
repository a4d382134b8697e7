"""The rules that a runbook keeps, read from its file: nothing of it is run.

Each rule takes a runbook and yields a Problem for each place that breaks it.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from opsnb.catalog import RunbookInfo
from opsnb.config.file import Config
from opsnb.errors import UsageError, did_you_mean
from opsnb.model import now

HEADINGS = ("When to use", "Impact", "Check", "Act", "Verify", "If that did not help")
"""The sections of a runbook in their order; `Act` only where it acts."""

_LINK = re.compile(r"\]\((?P<path>[^)#\s]*)(?:#(?P<fragment>[^)\s]*))?\)")
_COMMAND = re.compile(r"`opsnb\s+([^`]+)`|^ *opsnb +(.+)$", re.MULTILINE)
_OF_RUNBOOKS = ("run", "open", "show")
_NEVER_BY_LINK = ("apply", "confirm")
# What takes the id of a runbook first or as `runbook`, and its parameters as `parameters` or, in
# functions, as the keywords that are not these.
_REMEDIES = frozenset({"Remedy", "treated_by", "treated_rows"})
_NOT_PARAMETERS = frozenset({"apply", "column", "metric", "runbook", "why"})


@dataclass(frozen=True)
class Problem:
    """One place that breaks a rule."""

    path: Path
    message: str
    cell: int = 0
    """Its number in the notebook, from 1; 0 for what is not in a cell."""
    line: int = 0
    """Its number in a file that is no notebook."""

    def __str__(self) -> str:
        here = Path.cwd()
        path = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        place = f"{path}:{self.line}" if self.line else str(path)
        return f"{place}: {f'cell {self.cell}: ' if self.cell else ''}{self.message}"


Rule = Callable[[RunbookInfo, Mapping[str, RunbookInfo]], Iterator[Problem]]
"""Takes a runbook and all that there are, by id."""


def parameters(info: RunbookInfo, _: Mapping[str, RunbookInfo]) -> Iterator[Problem]:
    """One cell declares the parameters: their types, usable defaults, and what each is for."""
    tagged = [number for number, cell in _cells(info) if _is_parameters(cell)]
    if len(tagged) != 1:
        found = "no cell is" if not tagged else f"{len(tagged)} cells are"
        yield Problem(info.path, f"{found} tagged `parameters`; tag exactly one.")
        return
    (number,) = tagged
    try:
        declared = info.parameters
    except UsageError as error:
        yield Problem(info.path, str(error).replace(f" of {info.path}", ""), number)
        return
    if not declared or declared[0].name != "target":
        yield Problem(info.path, "the first parameter must be `target: TargetName`.", number)
    for each in declared:
        if not each.description:
            yield Problem(
                info.path, f"say what `{each.name}` is for, in a comment behind it.", number
            )
    defaults = {each.name: each.default for each in declared}
    if defaults.get("apply", False) is not False:
        yield Problem(info.path, "`apply` must be False by default.", number)
    if defaults.get("confirm", "") != "":
        yield Problem(info.path, "`confirm` must be empty by default.", number)


def structure(info: RunbookInfo, _: Mapping[str, RunbookInfo]) -> Iterator[Problem]:
    """A title, the headings in their order, and the day on which it was last reviewed."""
    if info.title == info.id:
        yield Problem(info.path, "the first cell must begin with a title: # Title", 1)
    expected = [name for name in HEADINGS if name != "Act" or info.acts]
    found = list(_headings(info))
    for name in expected:
        if name not in [heading for heading, _ in found]:
            yield Problem(info.path, f"the heading `## {name}` is missing.")
    if not info.acts:
        yield from (
            Problem(info.path, "`## Act` is for a runbook with the parameter `apply`.", cell)
            for name, cell in found
            if name == "Act"
        )
    for former, (name, cell) in pairwise(found):
        before = former[0]
        if name == before:
            yield Problem(info.path, f"`## {name}` stands there twice.", cell)
        elif HEADINGS.index(name) < HEADINGS.index(before):
            yield Problem(info.path, f"`## {name}` must stand before `## {before}`.", cell)
    if info.reviewed is None or info.reviewed > now().date():
        yield Problem(
            info.path,
            'its metadata must say when it was last reviewed: "opsnb": {"reviewed": "2026-11-28"}.',
        )


def links(info: RunbookInfo, known: Mapping[str, RunbookInfo]) -> Iterator[Problem]:
    """Links lead to files and runbooks that exist, commands to runbooks with those parameters."""
    for number, cell in _cells(info):
        if cell["cell_type"] != "markdown":
            continue
        for match in _LINK.finditer(cell["source"]):
            if match["path"] and ":" not in match["path"]:
                for message in _link(info, match, known):
                    yield Problem(info.path, message, number)
        for match in _COMMAND.finditer(cell["source"]):
            for message in _command(match[1] or match[2], known):
                yield Problem(info.path, message, number)


def outputs(info: RunbookInfo, _: Mapping[str, RunbookInfo]) -> Iterator[Problem]:
    """No outputs are committed: they may hold what nobody else should read."""
    for number, cell in _cells(info):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            yield Problem(info.path, "it has outputs; clear them before you commit.", number)


RULES: dict[str, Rule] = {
    "parameters": parameters,
    "structure": structure,
    "links": links,
    "outputs": outputs,
}
"""The rules by name."""


def remedies(file: Path, known: Mapping[str, RunbookInfo]) -> Iterator[Problem]:
    """Yield a problem for each remedy in a Python module that names no runbook that exists."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        yield Problem(file, f"it cannot be read: {error}.", line=getattr(error, "lineno", 0) or 0)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in _REMEDIES:
            runbook, given = _remedy(node)
            for message in _runbook(runbook, given, known) if runbook else ():
                yield Problem(file, message, line=node.lineno)


def schedules(config: Config, known: Mapping[str, RunbookInfo]) -> Iterator[Problem]:
    """Yield a problem for each schedule whose runbook does not exist or refuses its parameters."""
    for schedule in config.schedules:
        for message in _runbook(schedule.runbook, schedule.parameters, known):
            yield Problem(config.path or Path(), f"schedule {schedule.name}: {message}")


# --- links, commands, remedies ---------------------------------------------------------------


def _link(
    info: RunbookInfo, match: re.Match[str], known: Mapping[str, RunbookInfo]
) -> Iterator[str]:
    path = match["path"]
    linked, suffix = posixpath.splitext(posixpath.normpath(posixpath.join(info.section, path)))
    if suffix != ".ipynb":
        if not (info.path.parent / path).exists():
            yield f"the link to {path} leads nowhere."
        return
    names = [
        part.partition("=")[0].partition(":")[0]
        for part in (match["fragment"] or "").split("&")
        if part
    ]
    yield from (f"a link cannot set `{name}`." for name in names if name in _NEVER_BY_LINK)
    yield from _runbook(linked, [name for name in names if name not in _NEVER_BY_LINK], known)


def _command(line: str, known: Mapping[str, RunbookInfo]) -> Iterator[str]:
    """Yield what is wrong with a command in a text, as far as it names a runbook."""
    try:
        command, runbook, *words = shlex.split(line)
    except ValueError:  # too few words, or a quotation that does not end
        return
    if command not in _OF_RUNBOOKS or "/" not in runbook:
        return
    names = [
        given.partition("=")[0]
        for option, given in pairwise(words)
        if option in ("-p", "--parameter")
    ]
    yield from _runbook(runbook, names, known)


def _runbook(name: str, names: Iterable[str], known: Mapping[str, RunbookInfo]) -> Iterator[str]:
    """Yield what is wrong with a reference to the runbook `name` that gives it parameters."""
    if name not in known:
        yield f"there is no runbook '{name}'.{did_you_mean(name, known)}"
        return
    try:
        declared = [each.name for each in known[name].parameters]
    except UsageError:
        return  # its own file says why
    for each in names:
        if each not in declared:
            yield f"{name} has no parameter '{each}'.{did_you_mean(each, declared)}"


def _called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    return getattr(node.func, "id", "") or getattr(node.func, "attr", "")


def _remedy(node: ast.Call) -> tuple[str, list[str]]:
    """Return the runbook that a call names, empty when it is no literal, and its parameters."""
    by_name = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    first = node.args[0] if node.args else by_name.get("runbook")
    runbook = str(first.value) if isinstance(first, ast.Constant) else ""
    if _called(node) != "Remedy":
        return runbook, [name for name in by_name if name not in _NOT_PARAMETERS]
    given = by_name.get("parameters")
    keys = given.keys if isinstance(given, ast.Dict) else []
    return runbook, [str(key.value) for key in keys if isinstance(key, ast.Constant)]


# --- cells -----------------------------------------------------------------------------------


def _cells(info: RunbookInfo) -> Iterator[tuple[int, dict[str, Any]]]:
    return enumerate(info.cells, 1)


def _is_parameters(cell: Mapping[str, Any]) -> bool:
    return "parameters" in cell.get("metadata", {}).get("tags", ())


def _headings(info: RunbookInfo) -> Iterator[tuple[str, int]]:
    """Yield the known headings, and the number of the cell that each stands in."""
    for number, cell in _cells(info):
        if cell["cell_type"] == "markdown":
            for name in re.findall(r"^## (.+?)\s*$", cell["source"], re.MULTILINE):
                if name in HEADINGS:
                    yield name, number
