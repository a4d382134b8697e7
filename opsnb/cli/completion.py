"""Shell completion of names: runbooks, targets, parameters, runs, drills and faults.

Nothing here fails or prints: when something goes wrong, there is no completion.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import typer
from typer import _completion_shared

from opsnb.view import commands

if TYPE_CHECKING:
    from opsnb.config.file import Config

_MOST_RUNS = 30
_NO_SPACE = "    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *= ]] && compopt -o nospace\n"


def prepare() -> None:
    """Keep bash from adding a space after `-p hours=`, where the value follows."""
    scripts = _completion_shared._completion_scripts
    if _NO_SPACE not in scripts["bash"]:
        scripts["bash"] = scripts["bash"].replace("    return 0\n", f"{_NO_SPACE}    return 0\n")


def runbooks(incomplete: str) -> list[str]:
    """Return the ids of runbooks."""
    from opsnb import catalog

    return _beginning(incomplete, lambda: (info.id for info in catalog.runbooks()))


def targets(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of targets."""
    return _beginning(incomplete, lambda: _config(context).names)


def parameters(context: typer.Context, incomplete: str) -> list[str]:
    """Return the parameters of the runbook on the command line, as `name=`."""
    return _beginning(incomplete, lambda: _parameters(context))


def run_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Return `latest` and the newest runs."""
    return _beginning(incomplete, lambda: _run_ids(_config(context)))


def drills(incomplete: str) -> list[str]:
    """Return the names of drills, `list` and `any`."""
    from opsnb.demo.faults.known import ANY, all_drills

    return _beginning(incomplete, lambda: ["list", ANY, *all_drills()])


def faults(incomplete: str) -> list[str]:
    """Return the names of the demo's faults."""
    from opsnb.demo.faults.known import all_faults

    return _beginning(incomplete, all_faults)


def _beginning(incomplete: str, names: Callable[[], Iterable[str]]) -> list[str]:
    with suppress(Exception):
        return [name for name in names() if name.startswith(incomplete)]
    return []


def _config(context: typer.Context) -> Config:
    from opsnb.config.file import load_config

    if named := context.find_root().params.get("config"):
        os.environ[commands.CONFIG] = str(named)
    return load_config()


def _parameters(context: typer.Context) -> Iterator[str]:
    from opsnb import catalog

    known = {info.id for info in catalog.runbooks()}
    # It may be in the rest: `-p` without a value ends the parsing.
    words = [*context.args, context.params.get("runbook")]
    runbook = next(word for word in words if word in known)
    # Parsed, not executed: only the names are needed, and the types are slow to import.
    for node in ast.parse(catalog.runbook(runbook).declarations).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            if name not in ("target", "apply", "confirm"):  # -t, --apply, --confirm
                yield f"{name}="


def _run_ids(config: Config) -> Iterator[str]:
    from opsnb.records.reader import Reader

    yield "latest"
    reader = Reader(config.store)
    if "://" in config.store:  # listing a remote store takes too long
        yield from reader.index.newest(_MOST_RUNS)
    else:
        yield from islice(reader.run_ids(), _MOST_RUNS)
