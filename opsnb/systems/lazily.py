"""A package whose names are imported when they are first used.

`opsnb.toml` is read in every process, and the drivers are needed only where something is measured:
so a system's package holds nothing itself, and hands on what its module `public` imports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def lazily(package: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of `package`: it finds names in the package's `public`."""

    def get(name: str) -> Any:
        # A module of the package is found by the import itself.
        if name.startswith("__") or find_spec(f"{package}.{name}"):
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        found = getattr(import_module(f"{package}.public"), name)
        setattr(sys.modules[package], name, found)
        return found

    return get
