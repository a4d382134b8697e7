"""Executable operations runbooks: notebooks that check, act and keep a record."""

from __future__ import annotations

# As in `typing`, whose import would take most of the time in which Ctrl-C shows a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from opsnb.runbook import Runbook

__version__ = "0.1.0"
# What `from opsnb import *` gives a notebook: Runbook is not there until it is asked for.
__all__ = ["Runbook", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Runbook":
        # Lazy, because the session imports IPython, which the command line does without.
        from opsnb.runbook import Runbook  # noqa: PLC0415

        return Runbook
    raise AttributeError(f"module 'opsnb' has no attribute '{name}'")
