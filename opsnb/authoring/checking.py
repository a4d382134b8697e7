"""Everything that `opsnb check` looks at: notebooks, modules beside them, schedules, dry runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from opsnb import catalog
from opsnb.authoring.rules import RULES, Problem, remedies, schedules
from opsnb.catalog import RunbookInfo
from opsnb.config.file import load_config
from opsnb.config.places import find_config
from opsnb.config.sources import sources
from opsnb.errors import ConfigError, ExitCode, ParameterError, UsageError
from opsnb.headless.execute import Limits, execute
from opsnb.headless.kernels.forkserver import FORKS, ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.order import LIMIT_S, source_of
from opsnb.records.extract import actions
from opsnb.view import commands

_NOT_OURS = frozenset({"node_modules", "site-packages", "__pycache__"})


def use_config_of(path: Path) -> None:
    """Let `opsnb.toml` of the repository that `path` is in be in force, unless one is named.

    Raises UsageError when there is no such path.
    """
    if not path.exists():
        raise UsageError(f"There is no {path}; name a notebook or a folder.")
    if commands.CONFIG not in os.environ and (config := find_config(path)):
        os.environ[commands.CONFIG] = str(config)


def chosen(path: Path | None) -> list[RunbookInfo]:
    """Return the runbooks to check: those at `path`, else one's own, else all that there are.

    Raises UsageError when there is none.
    """
    if path is None:
        folders = sources().paths
        known = catalog.runbooks()
        own = [info for info in known if any(info.path.is_relative_to(each) for each in folders)]
        return own if folders else known
    files = [path] if path.is_file() else [*_files(path, ".ipynb")]
    infos = [catalog.at(file.resolve()) for file in sorted(files) if file.suffix == ".ipynb"]
    if not infos:
        raise UsageError(f"{path} has no runbooks: they are files <section>/<runbook>.ipynb.")
    return infos


def known(infos: Iterable[RunbookInfo]) -> dict[str, RunbookInfo]:
    """Return all runbooks by id, with `infos` among them, which links and remedies may name."""
    return {info.id: info for info in (*catalog.runbooks(), *infos)}


def static(infos: Iterable[RunbookInfo]) -> Iterator[Problem]:
    """Yield what is wrong with `infos` by their files, and with the modules and schedules beside.

    Nothing of them is run but the imports of their parameters cells.
    """
    infos = list(infos)
    by_id = known(infos)
    for info in infos:
        yield from broken_rules(info, by_id)
    for module in modules():
        yield from remedies(module, by_id)
    yield from schedules(load_config(), by_id)


def broken_rules(info: RunbookInfo, by_id: Mapping[str, RunbookInfo]) -> Iterator[Problem]:
    """Yield what is wrong with one runbook; of a file that cannot be read that alone."""
    try:
        _ = info.cells
    except ConfigError as error:
        yield Problem(info.path, str(error))
        return
    for rule in RULES.values():
        yield from rule(info, by_id)


def modules() -> list[Path]:
    """Return the Python files beside one's own runbooks; opsnb's own where there are none."""
    folders = [Path(folder) for folder in sources().modules] or [Path(catalog.__file__).parent]
    return sorted({file for folder in folders for file in _files(folder, ".py")})


def dry_runs(infos: Iterable[RunbookInfo], target: str) -> Iterator[Problem]:
    """Run each runbook on `target` with its defaults; yield what broke or changed something.

    No record is kept. A runbook that has parameters to be given is left out: without them it
    starts nothing. Raises UsageError when there is no such target.
    """
    load_config().target(target)
    runnable = [(info, values) for info in infos if (values := _defaults(info, target))]
    if not FORKS:
        for info, values in runnable:
            yield from dry_run(info, values)
        return
    with ForkServer(imports(info for info, _ in runnable)) as server:
        for info, values in runnable:
            yield from dry_run(info, values, server)


def dry_run(
    info: RunbookInfo, values: Mapping[str, object], server: ForkServer | None = None
) -> Iterator[Problem]:
    """Yield what is wrong when `info` runs with `values`: it broke, or an action began."""
    done = execute(json.loads(source_of(info)), dict(values), server=server, limits=Limits(LIMIT_S))
    for action in actions(done.notebook):
        if action.begun:
            yield Problem(info.path, f"its defaults change something: {action.title}.")
    if done.exit_code in (ExitCode.BROKE, ExitCode.TIMED_OUT):
        yield Problem(info.path, f"it does not run on its defaults. {done.error}")


def _defaults(info: RunbookInfo, target: str) -> dict[str, object]:
    """Return the values of a dry run; empty when the runbook cannot be run without being given."""
    try:
        return info.validate({"target": target})
    except (ParameterError, ConfigError):
        return {}


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield the files below `folder` with `suffix`, but for hidden and installed ones."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_ours(Path(at, name)))
        yield from (Path(at, name) for name in sorted(names) if name.endswith(suffix))


def _is_ours(folder: Path) -> bool:
    is_environment = (folder / "pyvenv.cfg").exists()
    return folder.name[0] != "." and folder.name not in _NOT_OURS and not is_environment
