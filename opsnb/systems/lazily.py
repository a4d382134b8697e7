"""A package whose names are imported when they are first used.

`opsnb.toml` is read in every process, and the drivers are needed only where something is measured:
so a system's package holds nothing itself. It hands on the public names of the modules that its
module `public` imports whole; no name is listed by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of `package`.

    The first finds names in the package's `public`. The second lists its checks and actions, which
    JupyterLab completes.
    """

    def get(name: str) -> Any:
        # A module of the package is found by the import itself.
        if name.startswith("__") or find_spec(f"{package}.{name}"):
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        found = getattr(import_module(f"{package}.public"), name)
        setattr(sys.modules[package], name, found)
        return found

    def names() -> list[str]:
        # Imported only for a person who asks.
        from opsnb.actions.action import Action  # noqa: PLC0415
        from opsnb.checks.check import Check  # noqa: PLC0415

        public = vars(import_module(f"{package}.public"))
        return sorted(name for name, each in public.items() if isinstance(each, Check | Action))

    return get, names
