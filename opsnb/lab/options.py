"""Check JupyterLab's own options: it would silently ignore a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyterlab.labapp import LabApp

from opsnb.errors import UsageError, did_you_mean


def check(options: Sequence[str], own: Iterable[str]) -> None:
    """Raise UsageError on the first of `options` that JupyterLab does not know.

    `own` are the options of opsnb, for suggestions.
    """
    takes_value = False
    for word in options:
        name, equals, _ = word.partition("=")
        if not word.startswith("-"):
            if not takes_value:
                raise UsageError(f"Unexpected argument '{word}'. Set the target with -t.")
            takes_value = False
        elif _takes_value(name):
            takes_value = not equals
        elif name.lstrip("-") not in LabApp.flags:
            raise UsageError(_unknown(name, own))


def _takes_value(name: str) -> bool:
    return name.lstrip("-") in LabApp.aliases or "." in name


def _unknown(name: str, own: Iterable[str]) -> str:
    known = [*own, *(f"--{option}" for option in (*LabApp.flags, *LabApp.aliases))]
    near = did_you_mean(name, known)
    return f"Neither opsnb nor JupyterLab has an option '{name}'." + (
        near if "Did you mean" in near else ""
    )
