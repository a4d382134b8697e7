"""What is wrong in `opsnb.toml`, in one sentence that says where and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from opsnb.config.settings import Limits, Multiline, Table
from opsnb.config.systems import shorthands, tables, thresholds
from opsnb.config.target import SYSTEMS, Target, name_of_key
from opsnb.errors import ConfigError, did_you_mean

_T = TypeVar("_T", bound=Table)

# What a value must be, by pydantic's name for what it is not.
_MUST = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false, without quotes",
    "dict_type": "must be a table",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "missing": "must be set",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be named with letters from A to Z, digits, '.', '_' and "
    "single '-', a letter or digit first",
    "too_short": "must not be empty",
    "string_type": "must be a text in quotes",
    "tuple_type": 'must be a list, like ["/var/log/app.log"]',
    "value_error": "{error}",
}


def validated(table: type[_T], values: dict[str, Any], where: str) -> _T:
    """Return `values` as a `table`. Raises ConfigError on the first thing that is wrong."""
    try:
        return table.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
    # A mistyped key is why another is missing, so it is reported first.
    first = next((each for each in wrong if each["type"] == "extra_forbidden"), wrong[0])
    path = tuple(part for part in first["loc"] if part not in ("[key]", SYSTEMS))
    place = ".".join(map(str, path))
    if table is Target and len(path) > 1:
        key = name_of_key(values, *map(str, path[:2]))
        place = ".".join([key, *map(str, path[2:])])
    if first["type"] == "extra_forbidden":
        near = did_you_mean(str(path[-1]), _known_keys(table, path[:-1]))
        raise ConfigError(f"{where} has the key '{place}', which is not known.{near}")
    must = _MUST.get(first["type"], "is not usable").format(**first.get("ctx", {}))
    sentence = f"{where}: {f'{place} {must}'.strip()}"
    raise ConfigError(sentence if sentence.endswith(("?", ".")) else f"{sentence}.")


def _known_keys(table: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table at `path` below `table` takes."""
    at: Any = table
    for part in path:
        if at is Target and part in tables():
            at = tables()[str(part)]
        elif isinstance(part, str) and part in at.model_fields:
            inner = at.model_fields[part].annotation
            arguments = getattr(inner, "__args__", ())
            at = next((a for a in (inner, *arguments) if hasattr(a, "model_fields")), at)
    if at is Target:
        own = [key for key in at.model_fields if key not in ("name", SYSTEMS)]
        return [*own, *tables(), *(short.partition(".")[0] for short in shorthands())]
    return list(at.model_fields)


def check_metrics(limits: Mapping[str, Limits], where: str) -> None:
    """Raise ConfigError on the first limit of something that nobody measures."""
    for metric in limits:
        if metric not in thresholds():
            raise ConfigError(
                f"{where} sets limits for '{metric}', which is no metric."
                + did_you_mean(metric, thresholds())
            )


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LINE_BREAKS = str.maketrans("", "", "\t\n\r")


def check_characters(value: Any, where: str, key: str = "") -> None:
    """Raise ConfigError on the first text that has control characters: no system takes them."""
    if isinstance(value, str):
        text = value.translate(_LINE_BREAKS) if key in _multiline() else value
        if _CONTROL.search(text):
            raise ConfigError(f"{where}: {key} contains invalid characters; leave them out.")
    elif isinstance(value, dict):
        for name, item in value.items():
            check_characters(item, where, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            check_characters(item, where, key)


@cache
def _multiline() -> frozenset[str]:
    """Return the keys of statements, which may have line breaks."""
    kinds = [kind for table in tables().values() for kind in (table, *table.inner_tables())]
    return frozenset(
        key
        for kind in kinds
        for key, field in kind.model_fields.items()
        if Multiline.TEXT in field.metadata
    )
