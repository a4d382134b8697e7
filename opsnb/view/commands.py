"""Command lines to paste: complete, quoted for a shell, with the current configuration.

A sentence may contain one; `pieces` finds it, so that a terminal never wraps it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

from opsnb.view.terminal import HIDDEN

CONFIG = "OPSNB_CONFIG"
"""The variable that names the configuration; `--config` sets it."""
INCIDENT = "OPSNB_INCIDENT"
"""The variable that names the incident to which runs belong; `--incident` sets it."""


class Named(Protocol):
    """The part of a target that a command line needs."""

    @property
    def name(self) -> str:
        """Its name in `opsnb.toml`."""

    @property
    def protected(self) -> bool:
        """Whether an action needs its name typed."""


def line(*words: str) -> str:
    """Return the command line `opsnb` with `words`, each quoted where a shell needs it."""
    named = os.environ.get(CONFIG)
    given = ["--config", named] if named else []
    return " ".join(["opsnb", *map(quoted, (*given, *words))])


def run(runbook: str, target: Named, *, apply: bool = False, **parameters: Any) -> str:
    """Return the line that runs `runbook` on `target`, with `--confirm` where that is needed."""
    confirm = target.name if target.protected else ""
    return run_on(runbook, target.name, parameters, apply=apply, confirm=confirm)


def run_on(
    runbook: str,
    target: str,
    parameters: Mapping[str, Any],
    *,
    apply: bool = False,
    confirm: str = "",
) -> str:
    """Return the line that runs `runbook`, for the incident to which the current run belongs.

    `confirm` counts only with `apply`.
    """
    words = ["run", runbook, *(["-t", target] if target else [])]
    for name, value in parameters.items():
        words += ["-p", f"{name}={as_option(value)}"]
    if apply:
        words += ["--apply", *(["--confirm", confirm] if confirm else [])]
    if incident := os.environ.get(INCIDENT):
        words += ["--incident", incident]
    return line(*words)


def noted(command: str) -> str:
    """Return `command`, with a note if a masked secret would make it fail."""
    is_whole = MASKED not in command or command.endswith(_NOTE)
    return command if is_whole else command + _NOTE


MASKED = "[redacted]"
"""The text in place of a secret."""
_NOTE = f"  # first type what {MASKED} stands for: it is a secret, so it is not shown"


def as_option(value: Any) -> str:
    """Return a parameter's value for a command line or a link."""
    return value if isinstance(value, str) else json.dumps(value)


def quoted(word: str) -> str:
    r"""Return `word` quoted for a shell, on one line and legible: `$'a\nb'`."""
    if "\n" in word or "\t" in word or HIDDEN.search(word):
        return f"$'{re.sub(_CONTROL, _escaped, word)}'"
    # A dot or a comma at the end would read as the sentence's.
    return f"'{word}'" if word.endswith(_ENDS) and shlex.quote(word) == word else shlex.quote(word)


_ENDS = (".", ",", ":", ";", "!", "?")
_CONTROL = rf"{HIDDEN.pattern}|[\n\t\\']"


def _escaped(match: re.Match[str]) -> str:
    sign = match[0]
    known = {"\n": "\\n", "\t": "\\t", "\\": "\\\\", "'": "\\'"}
    if sign in known:
        return known[sign]
    return "".join(f"\\x{byte:02x}" for byte in sign.encode())


class Piece(NamedTuple):
    """A part of a text."""

    text: str
    is_command: bool = False


def pieces(text: str) -> Iterator[Piece]:
    """Yield the commands in `text`, and the text between them, in order."""
    end = 0
    for found in _in_text().finditer(text):
        command = found[0].rstrip("".join(_ENDS))
        if words := text[end : found.start()].strip():
            yield Piece(words)
        yield Piece(command, is_command=True)
        end = found.start() + len(command)
        end += len(text[end:]) - len(text[end:].lstrip("".join(_ENDS)))
    if words := text[end:].strip():
        yield Piece(words)


_WORD = r"""(?:\$'(?:\\.|[^'\\])*'|'[^']*'|"[^"]*"|\\.|[^\s'"\\;|&<>()`])+"""


@cache
def _in_text() -> re.Pattern[str]:
    return re.compile(_COMMAND, re.VERBOSE)


_COMMAND = rf"""(?<![\w'"`/-])opsnb(?:\s--config\s{_WORD})?\s
    (?: (?:run|open|show)(?=\s(?:[a-z]\w*/\w|--?[a-z]))
      | doctor
      | demo\s(?:up|down|status|fault\s[\w-]+)
      | drill\s(?:list|[\w-]+)
      | records\s(?:list|reindex|verify|recover|prune|(?:show|search)\s{_WORD})
      | schedule\s(?:list|status|check|crontab|run\s[\w-]+)
      | site\s(?:build|serve)
      | notify\stest
      | incident\s(?:list|(?:open|close|note|show)\s{_WORD})
      | list(?![\w-])
    )
    (?: \s(?:-[tp]|--(?:target|parameter|confirm|timeout|wait|resume|failed-of|incident|jobs))
        \s{_WORD}
      | \s--[a-z][a-z-]*
      | \s[a-z]\w*/\w+
    )*"""
