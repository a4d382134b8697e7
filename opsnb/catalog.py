"""The runbooks that there are: their ids, titles and parameters, read without running them.

A listing reads JSON alone: pydantic, which parameters need, is imported when they are asked for.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsnb.config.sources import Sources, make_importable, sources
from opsnb.errors import ConfigError, OpsnbError, ParameterError, UnknownRunbook, did_you_mean
from opsnb.view import commands

if TYPE_CHECKING:
    from opsnb.params.cell import Parameter

_PACKAGE = Path(__file__).resolve().parent

SECTIONS = {
    "health": "Health checks",
    "queues": "Queues",
    "cache": "Cache",
    "database": "Database",
    "troubleshooting": "Troubleshooting",
    "incidents": "Incidents",
    "monitoring": "Monitoring",
    "deployment": "Deployment",
    "maintenance": "Maintenance",
}
"""The handbook's sections in its order; a section that it does not know comes last."""


def share(name: str) -> Path:
    """Return `notebooks`, `docs` or `mkdocs.yml`: of the checkout, else of the installed wheel."""
    checkout = _PACKAGE.parent / name
    if checkout.exists() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return checkout
    return _PACKAGE / "share" / name


@dataclass(frozen=True)
class RunbookInfo:
    """A runbook as it stands in its file."""

    id: str
    path: Path

    @property
    def section(self) -> str:
        """The folder it stands in, such as `queues`."""
        return self.id.split("/")[0]

    @cached_property
    def _content(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The cells, sources joined, and the metadata."""
        try:
            notebook = json.loads(self.path.read_text(encoding="utf-8"))
            cells = [{**cell, "source": "".join(cell["source"])} for cell in notebook["cells"]]
            return cells, dict(notebook.get("metadata", {}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.path} is not a readable notebook: {error}. Restore it from git."
            ) from error

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The notebook's cells as JSON, sources joined. Raises ConfigError on a broken file."""
        return self._content[0]

    @property
    def reviewed(self) -> date | None:
        """When somebody last read it through and found it right, as `opsnb.reviewed` of its
        metadata says; None when that is no date. Raises ConfigError on a broken file.
        """
        try:
            return date.fromisoformat(self._content[1]["opsnb"]["reviewed"])
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def symptoms(self) -> dict[str, str]:
        """What users see that this runbook is the first to run for, as `opsnb.symptoms` of its
        metadata says: the words, by the name in the address of the symptom's page on the site,
        which does not change. Raises ConfigError on a broken file.
        """
        declared = self._content[1].get("opsnb", {}).get("symptoms", {})
        return {str(name): str(words) for name, words in declared.items()}

    @cached_property
    def title(self) -> str:
        """The first heading, or the id where there is none."""
        lines = (
            line
            for cell in self.cells
            if cell["cell_type"] == "markdown"
            for line in cell["source"].splitlines()
        )
        return next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), self.id)

    @property
    def name(self) -> str:
        """The title; the id when its file is broken."""
        try:
            return self.title
        except ConfigError:
            return self.id

    @property
    def when_to_use(self) -> str:
        """What stands under that heading, as Markdown; empty where there is none."""
        text = "\n".join(cell["source"] for cell in self.cells if cell["cell_type"] == "markdown")
        found = re.search(r"^## When to use$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    @cached_property
    def parameters(self) -> list[Parameter]:
        """The parameters, in the order of the cell. Raises ConfigError."""
        # Imported only now: a list of the runbooks does without pydantic.
        from opsnb.params import cell  # noqa: PLC0415

        return cell.read(self.declarations, self.path)

    @property
    def acts(self) -> bool:
        """True when it can change something: it has the parameter `apply`."""
        return bool(re.search(r"^apply *:", self.declarations, re.MULTILINE))

    @property
    def declarations(self) -> str:
        """The source of the cell that declares the parameters."""
        return next(
            (
                str(cell["source"])
                for cell in self.cells
                if "parameters" in cell.get("metadata", {}).get("tags", ())
            ),
            "",
        )

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter's value: those `given`, checked, else the defaults.

        Raises ParameterError on the first that is unknown, missing, mistyped or out of range.
        """
        checked = self.check(given)
        values = {}
        for parameter in self.parameters:
            if parameter.required and parameter.name not in checked:
                raise ParameterError(
                    f"{self.id} needs a value: -p {parameter.name}=... ({parameter.type})."
                )
            values[parameter.name] = checked.get(parameter.name, parameter.default)
        return values

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values `given`, checked; others may be missing.

        Raises ParameterError on the first that is unknown, mistyped or out of range.
        """
        self._refuse_unknown(given)
        known = {parameter.name: parameter for parameter in self.parameters}
        return {name: known[name].parse(value) for name, value in given.items()}

    def _refuse_unknown(self, given: Iterable[str]) -> None:
        """Raise ParameterError on a name that is not declared, before any type is built."""
        try:
            lines = ast.parse(self.declarations).body
        except (SyntaxError, ValueError):
            return  # `parameters` says what is wrong with the cell
        known = [
            line.target.id
            for line in lines
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        ]
        for name in given:
            if name not in known:
                raise ParameterError(
                    f"{self.id} has no parameter {name[:60]!r}." + did_you_mean(name, known)
                )


def runbooks() -> list[RunbookInfo]:
    """Return all runbooks, by id: opsnb's own, those of installed packages, then one's own.

    Of two with the same id the later one counts. What stands beside one's own runbooks can be
    imported from now on. Raises ConfigError when `[runbooks]` in `opsnb.toml` is wrong.
    """
    found = sources()
    make_importable(found.modules)
    known = _by_id(_without(found, [share("notebooks"), *found.packages]))
    known |= _by_id(path for folder in found.paths for path in _notebooks(folder))
    return [known[name] for name in sorted(known)]


def runbook(name: str) -> RunbookInfo:
    """Return the runbook with the id `name`. Raises UnknownRunbook with the nearest id."""
    known = {info.id: info for info in runbooks()}
    if name in known:
        return known[name]
    section, off = name.partition("/")[0], sources(with_packages=False)
    why = f" {section} is switched off in {off.config}." if section in off.off else ""
    raise UnknownRunbook(f"There is no runbook '{name}'." + (why or did_you_mean(name, known)))


def again(
    name: str,
    target: str,
    parameters: Mapping[str, Any],
    *,
    apply: bool = False,
    confirm: str = "",
) -> str:
    """Return the line that repeats a run of the runbook `name`.

    Its parameters stand as people type them, defaults left out. `confirm` counts only with `apply`.
    """
    try:
        known = {parameter.name: parameter for parameter in runbook(name).parameters}
    except OpsnbError:  # its file may have changed since
        known = {}
    given = {
        option: known[option].typed(value) if option in known else value
        for option, value in parameters.items()
        if option not in ("target", "apply", "confirm")
        and not (option in known and value == known[option].default)
    }
    return commands.run_on(name, target, given, apply=apply, confirm=confirm)


def at(path: Path) -> RunbookInfo:
    """Return the runbook in the file `path`: its id is the folder's name and its own."""
    return RunbookInfo(f"{path.parent.name}/{path.stem}", path)


def _notebooks(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*.ipynb") if path.parent.name[0] not in "._")


def _by_id(paths: Iterable[Path]) -> dict[str, RunbookInfo]:
    return {info.id: info for info in map(at, paths)}


def _without(found: Sources, folders: Iterable[Path]) -> list[Path]:
    """Return the notebooks in `folders` but for the sections that are switched off.

    Raises ConfigError when one of these is no section.
    """
    paths = [path for folder in folders for path in _notebooks(folder)]
    sections = {path.parent.name for path in paths}
    for name in found.off:
        if name not in sections:
            raise ConfigError(
                f"{found.config}: runbooks.off names '{name}', which is no section."
                + did_you_mean(name, sections)
            )
    return [path for path in paths if path.parent.name not in found.off]


def by_section(infos: Iterable[RunbookInfo]) -> list[tuple[str, list[RunbookInfo]]]:
    """Return the runbooks by section, in the handbook's order, with the section's title."""
    order = list(SECTIONS)

    def place(info: RunbookInfo) -> tuple[int, str, str]:
        known = order.index(info.section) if info.section in SECTIONS else len(order)
        return known, info.section, info.id

    groups = groupby(sorted(infos, key=place), lambda info: info.section)
    return [
        (SECTIONS.get(section) or _section_title(group), group)
        for section, group in ((section, list(group)) for section, group in groups)
    ]


def _section_title(infos: Iterable[RunbookInfo]) -> str:
    """Return the heading of the `README.md` beside the runbooks; else their folder's name."""
    folders = list(dict.fromkeys(info.path.parent for info in infos))
    for folder in folders:
        with suppress(OSError, UnicodeDecodeError):
            heading = (folder / "README.md").read_text(encoding="utf-8").partition("\n")[0]
            if heading.startswith("# ") and heading[2:].strip():
                return heading[2:].strip()
    return folders[0].name.replace("_", " ").capitalize()
