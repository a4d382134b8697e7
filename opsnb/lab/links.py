"""Links from one runbook to the next, with parameters.

A link is the path of a runbook's notebook with parameters after a `#`: `queue=emails` sets a value,
a bare `queue` copies the value from the notebook that has the link, and `name:table` copies that
notebook's `table` to the parameter `name`. A link never arms what it opens.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote, unquote

from opsnb.catalog import RunbookInfo
from opsnb.config.file import Config
from opsnb.errors import ParameterError
from opsnb.lab.cells import Notebook

_NEVER = ("apply", "confirm")
# A Markdown link and, after it in the same paragraph or item, the command for the same runbook.
_LINK = re.compile(
    r"(?P<words>\[[^]]*\])\((?P<path>[\w./-]+)\.ipynb\)"
    r"(?P<rest>(?:(?!\n\n|\n- |\]\()[\s\S])*?`opsnb (?:run|open) (?P<command>[^`]*)`)?"
)
_PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*")


def values(
    info: RunbookInfo,
    fragment: str,
    here: Mapping[str, Any],
    target: str,
    config: Config,
) -> dict[str, Any]:
    """Return the parameters of `info` for a link with `fragment`.

    `here` are the parameters of the notebook that has the link, and `target` is the one shown
    beside it; the link may name another. Raises UsageError for an unknown parameter or an invalid
    value, for `apply` and `confirm`, and for a target that is unknown or, with several, not named.
    """
    given = dict(_given(fragment, here))
    for name in _NEVER:
        if name in given:
            raise ParameterError(
                f"A link cannot set {name}. Nothing was opened. Open {info.id} without it, read "
                "its plan, then set it in the notebook."
            )
    given["target"] = given.get("target") or target or here.get("target") or config.only
    checked = info.validate(given)
    config.target(checked["target"])
    return checked


def _given(fragment: str, here: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in filter(None, fragment.removeprefix("#").split("&")):
        name, equals, value = part.partition("=")
        if equals:
            yield unquote(name), unquote(value)
        else:
            name, _, source = unquote(name).partition(":")
            if (source or name) in here:
                yield name, here[source or name]


def carry_parameters(notebook: Notebook, info: RunbookInfo) -> None:
    """Add to each link in a copy of `info` the parameters of the command beside it."""
    known = {parameter.name for parameter in info.parameters}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _LINK.sub(
                lambda link: _carrying(link, info.section, known), "".join(cell["source"])
            )


def _carrying(link: re.Match[str], section: str, known: set[str]) -> str:
    rest = link["rest"] or ""
    words = _words(link["command"] or "")
    linked = posixpath.normpath(posixpath.join(section, link["path"]))
    parts = _fragment(words, known) if words[:1] == [linked] else []
    fragment = f"#{'&'.join(parts)}" if parts else ""
    return f"{link['words']}({link['path']}.ipynb{fragment}){rest}"


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _fragment(words: list[str], known: set[str]) -> list[str]:
    parts = []
    for option, given in pairwise(words):
        name, _, value = given.partition("=")
        source = value.lower()
        if option != "-p":
            continue
        if not _PLACEHOLDER.fullmatch(value):
            parts.append(f"{quote(name, safe='')}={quote(value, safe='')}")
        elif source in known:
            parts.append(name if source == name else quote(f"{name}:{source}", safe=""))
    return parts
