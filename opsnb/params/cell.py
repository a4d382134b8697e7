"""The parameters that a notebook's cell declares, read without running the notebook."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from opsnb.errors import ConfigError, ParameterError, did_you_mean
from opsnb.params.annotations import expects, kinds, span_of, type_name

_NO_VALUE = ("", "none", "null")
_LONGEST = 65_536
_LARGEST = 2**63 - 1  # what every reader of JSON, and every data frame, can hold
_INVALID = re.compile("[\0\ud800-\udfff]")  # NUL, and half a character


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

        The value is as JSON has it, for notebooks and records: a date as its text, a tuple as a
        list. A list may be given as `a,b` or as JSON; `none` stands for no value. Raises
        ParameterError with one sentence on what is wrong.
        """
        reason = _unkeepable(given)
        if not reason:
            try:
                plain = self._understood(given)
                value = self._adapter.dump_python(self._adapter.validate_python(plain), mode="json")
            except ValidationError as error:
                said = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
                reason = said[:1].lower() + said[1:]
            except ValueError as error:
                reason = f"invalid JSON: {error}"
            else:
                reason = _unkeepable(value) or _guessed(plain, value)
                if not reason:
                    return value
        hint = did_you_mean(str(given), self._choices) if self._choices else ""
        raise ParameterError(
            f"Parameter {self.name}={_shown(given)} cannot be used: {reason}; "
            f"it takes {expects(self.annotation, self.type)}.{hint}"
        )

    def _understood(self, given: Any) -> Any:
        """Return what a text stands for, its parts still as text. Raises ValueError on bad JSON."""
        if not isinstance(given, str):
            return given
        text = given.strip()
        if self._is_optional and text.lower() in _NO_VALUE:
            return None
        if self._is_list and not text.startswith("["):
            return [part.strip() for part in text.split(",")] if text else []
        if self._is_list or (dict in self._kinds and text.startswith("{")):
            return from_json(text)
        return self._choices.get(given, given)

    def typed(self, value: Any) -> Any:
        """Return a value as people type it: `90s` of the type of minutes, not 1.5."""
        span = span_of(self.annotation)
        return span.typed(value) if span else value

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation, config=ConfigDict(allow_inf_nan=False))

    def demand_type(self) -> None:
        """Raise ParameterError when no value can be checked by the annotation."""
        try:
            self._adapter.rebuild()
        except Exception as error:  # pydantic's own errors are paragraphs
            raise ParameterError(
                f"{self.name} has the type {_shown(self.type)}, which no value can be checked by"
            ) from error

    @cached_property
    def _kinds(self) -> set[Any]:
        """The plain types that a value may have, such as {list, NoneType}."""
        return set(kinds(self.annotation))

    @property
    def _is_optional(self) -> bool:
        return type(None) in self._kinds

    @property
    def _is_list(self) -> bool:
        return bool(self._kinds & {list, tuple, set, frozenset}) and str not in self._kinds

    @property
    def _choices(self) -> dict[str, Any]:
        """The values that a literal parameter takes, by their text."""
        return {str(kind): kind for kind in self._kinds if isinstance(kind, str | int)}


def read(source: str, path: Path) -> list[Parameter]:
    """Return the parameters that a cell declares, in its order; `path` is the notebook's.

    Raises ConfigError, in one sentence.
    """
    try:
        return list(_read(source))
    except Exception as error:  # its imports and annotations may raise anything
        raise ConfigError(
            f"The parameters cell of {path} cannot be read: {_words(error)}. Correct it: "
            "imports, then lines like `hours: Hours = 24`, each with a literal."
        ) from error


@lru_cache(maxsize=256)  # the types of a notebook that is read again need not be built again
def _read(source: str) -> tuple[Parameter, ...]:
    tree = ast.parse(source)
    names: dict[str, Any] = {}
    imports: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    exec(compile(ast.Module(imports, []), "<parameters>", "exec"), names)
    lines = source.encode().split(b"\n")
    parameters: dict[str, Parameter] = {}
    for node in tree.body:
        if node in imports or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            raise ParameterError(f"{_shown(ast.unparse(node))} declares no parameter with its type")
        if node.target.id in parameters:
            raise ParameterError(f"{node.target.id} is declared twice")
        after = lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset :].decode().strip()
        comment = after.lstrip("# ") if after.startswith("#") else ""
        parameters[node.target.id] = _parameter(node, node.target.id, names, comment)
    return tuple(parameters.values())


def _parameter(node: ast.AnnAssign, name: str, names: dict[str, Any], comment: str) -> Parameter:
    """Return what a line declares; its type is looked up in `names`."""
    written = ast.unparse(node.annotation)
    annotation = eval(written, names)
    parameter = Parameter(
        name=name,
        type=type_name(annotation, written),
        default=None,
        description=comment,
        annotation=annotation,
        required=node.value is None,
    )
    parameter.demand_type()
    return replace(parameter, default=_default(parameter, node.value)) if node.value else parameter


def _default(parameter: Parameter, written: ast.expr) -> Any:
    """Return the default as it is written; as JSON has it when that is something else."""
    try:
        default = ast.literal_eval(written)
    except ValueError:
        raise ParameterError(
            f"the default of {parameter.name}, {_shown(ast.unparse(written))}, is no literal"
        ) from None
    value = parameter.parse(default)
    if isinstance(default, str) and not isinstance(value, str):  # by hand, it would stay a text
        raise ParameterError(
            f"the default of {parameter.name} is the text {_shown(default)} and should be {value}"
        )
    return default if default == value else value


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the single values of lists and tables, however nested; of tables also the keys."""
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _unkeepable(value: Any) -> str:
    """Return why `value` cannot be kept in a notebook or a record; empty when it can."""
    for leaf in _leaves(value):
        if isinstance(leaf, str) and len(leaf) > _LONGEST:
            return f"it is longer than {_LONGEST} characters"
        if isinstance(leaf, str) and _INVALID.search(leaf):
            return "it contains invalid characters"
        if isinstance(leaf, int) and abs(leaf) > _LARGEST:
            return "it is too large a number"
    return ""


def _guessed(given: Any, value: Any) -> str:
    """Return what is wrong where pydantic took true or false for 1 or 0; empty otherwise."""
    given_truth, truth = (
        any(isinstance(leaf, bool) for leaf in _leaves(either)) for either in (given, value)
    )
    return "a number is wanted, not true or false" if given_truth and not truth else ""


def _words(error: Exception) -> str:
    """Return what is wrong in one line."""
    said = " ".join(str(error).split()).rstrip(".")
    return said if isinstance(error, ParameterError) else f"{type(error).__name__}: {said}"


def _shown(value: Any) -> str:
    as_json = isinstance(value, list | dict | bool | None)
    text = json.dumps(value, default=str) if as_json else str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")
