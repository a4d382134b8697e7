"""The runbooks that there are: their ids, titles and parameters, read without running them.

Only JSON and the syntax tree are used here, and pydantic for parameters, so that listing runbooks
or refusing a parameter takes little longer than starting Python.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from opsnb.errors import ConfigError, ParameterError, UnknownRunbook, did_you_mean

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

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
class Parameter:
    """One line of a notebook's parameters cell."""

    name: str
    type: str
    """The type in words, such as `hours` or `str`."""
    default: Any
    description: str
    annotation: Any
    required: bool = False
    """True when the cell gives no default."""

    def parse(self, given: Any) -> Any:
        """Return `given` (text from a command line, or a JSON value) in this parameter's type.

        Raises ParameterError with one sentence on what is wrong with it.
        """
        # Imported only now: a list of the runbooks does without.
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

        adapter = TypeAdapter(self.annotation)
        try:
            return adapter.validate_python(given)
        except ValidationError as error:
            if isinstance(given, str) and given.lstrip()[:1] in ("[", "{"):
                try:
                    return adapter.validate_json(given)
                except ValidationError:
                    pass
            reason = error.errors(include_url=False)[0]["msg"]
        raise ParameterError(
            f"Parameter {self.name}={_shown(given)} cannot be used: {_lowered(reason)}; "
            f"it takes {_expects(self.annotation)}."
        )


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
    def cells(self) -> list[dict[str, Any]]:
        """The notebook's cells as JSON, sources joined. Raises ConfigError on a broken file."""
        try:
            cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
            return [{**cell, "source": "".join(cell["source"])} for cell in cells]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.path} is not a readable notebook: {error}. Restore it from git."
            ) from error

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
        """The parameters, in the order of the cell."""
        try:
            return _parameters(self._declarations)
        except (SyntaxError, NameError, ValueError, ImportError) as error:
            raise ConfigError(
                f"The parameters cell of {self.path} cannot be read: {error}."
            ) from error

    @property
    def acts(self) -> bool:
        """True when it can change something: it has the parameter `apply`."""
        return bool(re.search(r"^apply *:", self._declarations, re.MULTILINE))

    @property
    def _declarations(self) -> str:
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
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise ParameterError(
                    f"{self.id} has no parameter '{name}'." + did_you_mean(name, known)
                )
        return {name: known[name].parse(value) for name, value in given.items()}


def runbooks() -> list[RunbookInfo]:
    """Return all runbooks, by id."""
    root = share("notebooks")
    return [
        RunbookInfo(path.relative_to(root).with_suffix("").as_posix(), path)
        for path in sorted(root.glob("*/*.ipynb"))
    ]


def runbook(name: str) -> RunbookInfo:
    """Return the runbook with the id `name`. Raises UnknownRunbook with the nearest id."""
    known = {info.id: info for info in runbooks()}
    try:
        return known[name]
    except KeyError:
        raise UnknownRunbook(f"There is no runbook '{name}'." + did_you_mean(name, known)) from None


def by_section(infos: Iterable[RunbookInfo]) -> list[tuple[str, list[RunbookInfo]]]:
    """Return the runbooks by section, in the handbook's order, with the section's title."""
    order = list(SECTIONS)

    def place(info: RunbookInfo) -> tuple[int, str, str]:
        known = order.index(info.section) if info.section in SECTIONS else len(order)
        return known, info.section, info.id

    return [
        (SECTIONS.get(section, section.replace("_", " ").capitalize()), list(group))
        for section, group in groupby(sorted(infos, key=place), lambda info: info.section)
    ]


def _parameters(source: str) -> list[Parameter]:
    tree = ast.parse(source)
    names: dict[str, Any] = {}
    imports: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    exec(compile(ast.Module(imports, []), "<parameters>", "exec"), names)
    comments = _comments(source)
    found = []
    for node in tree.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        written = ast.unparse(node.annotation)
        annotation = eval(written, names)
        found.append(
            Parameter(
                name=node.target.id,
                type=_type_name(annotation, written),
                default=ast.literal_eval(node.value) if node.value else None,
                description=comments.get(node.end_lineno or node.lineno, ""),
                annotation=annotation,
                required=node.value is None,
            )
        )
    return found


def _comments(source: str) -> dict[int, str]:
    """Return the comment on each line that has one, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _field(annotation: Any) -> FieldInfo | None:
    # Imported only now: a list of the runbooks does without.
    from pydantic.fields import FieldInfo  # noqa: PLC0415

    if get_origin(annotation) is not Annotated:
        return None
    return next((item for item in get_args(annotation) if isinstance(item, FieldInfo)), None)


def _type_name(annotation: Any, written: str) -> str:
    field = _field(annotation)
    return field.title if field and field.title else written


def _expects(annotation: Any) -> str:
    field = _field(annotation)
    if field and field.description:
        return field.description
    return getattr(annotation, "__name__", None) or str(annotation).replace("typing.", "")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
