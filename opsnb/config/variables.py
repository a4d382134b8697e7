"""`${NAME}` in `opsnb.toml`: read from the environment when a value is used."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from opsnb.errors import ConfigError, did_you_mean

_VARIABLE = re.compile(r"\$\{([^{}]*)(\}?)")


def expand(value: Any, where: str) -> Any:
    """Return `value` with each `${NAME}` in its strings replaced from the environment.

    Raises ConfigError, which names `where`, when one is not set or is not closed.
    """
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, where), value)
    if isinstance(value, dict):
        return {key: expand(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, where) for item in value]
    return value


def expand_if_set(text: str) -> str:
    """Return `text` with its variables replaced; empty when one of them is not set."""
    try:
        return str(expand(text, ""))
    except ConfigError:
        return ""


def names_in(value: Any) -> Iterator[str]:
    """Yield the names of the variables that `value` uses."""
    if isinstance(value, str):
        yield from (name for name, _ in _VARIABLE.findall(value))
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from names_in(item)


def _variable(match: re.Match[str], where: str) -> str:
    name, end = match.groups()
    if not end:
        raise ConfigError(f"{where} has a ${{ that is not closed; write it as ${{NAME}}.")
    if not name:
        raise ConfigError(f"{where} has a ${{}} without a name; write it as ${{NAME}}.")
    try:
        return os.environ[name]
    except KeyError:
        message = f"{where} uses ${{{name}}}, which is not set in the environment."
        near = did_you_mean(name, os.environ)
        raise ConfigError(message + (near if "Did you mean" in near else f" Set {name}.")) from None
