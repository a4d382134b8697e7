"""A system's package hands on what its modules define, without a list of names."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules, walk_packages
from types import ModuleType
from typing import Any

import pytest

from opsnb.actions.action import Action
from opsnb.checks.check import Check
from opsnb.config.systems import registered

PACKAGES = sorted({entry.module.rpartition(".")[0] for entry in registered().values()})


def modules(package: str) -> Iterator[ModuleType]:
    for found in walk_packages(import_module(package).__path__, f"{package}."):
        yield import_module(found.name)


def checks_and_actions(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield those that the module itself defines, with their names in it."""
    for name, each in vars(module).items():
        if isinstance(each, Check | Action) and inspect.getmodule(each.function) is module:
            yield name, each


@pytest.mark.parametrize("package", PACKAGES)
def test_each_check_and_action_of_a_system_is_one_of_its_package(package: str) -> None:
    handed_on = import_module(package)
    for module in modules(package):
        for name, each in checks_and_actions(module):
            line = f"from {module.__name__} import *"
            assert getattr(handed_on, name, None) is each, f"{package}.public lacks: {line}"
            assert name in dir(handed_on)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_of_a_system_hides_another(package: str) -> None:
    public = import_module(f"{package}.public")
    lines = inspect.getsource(public).splitlines()
    whole = [line.split()[1] for line in lines if line.startswith("from ")]
    assert whole
    files = {found.name for found in iter_modules(import_module(package).__path__)}
    for module in map(import_module, whole):
        for name, each in vars(module).items():
            defined_here = getattr(each, "__module__", None) == module.__name__
            if defined_here and not name.startswith("_"):
                assert name not in files
                assert getattr(import_module(package), name) is each, f"{module.__name__}.{name}"


def test_a_package_imports_no_driver_until_one_of_its_names_is_used() -> None:
    code = (
        "import sys; from opsnb.systems import cache, database, queues\n"
        "def loaded(): return sorted({'redis', 'psycopg', 'bullmq'} & set(sys.modules))\n"
        "print(loaded()); cache.ping; print(loaded())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['redis']"]
