"""What opsnb can operate: each system registers itself under the entry point `opsnb.systems`.

A system describes itself in a module that imports no driver, so that a listing stays quick; its
checks and actions are imported when they are first used. Built-in systems and those of other
packages come in the same way::

    [project.entry-points."opsnb.systems"]
    rabbitmq = "opsnb_rabbitmq.system:RABBITMQ"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from opsnb.config.settings import Settings

GROUP = "opsnb.systems"
_BUILT_IN = [
    "api",
    "cache",
    "database",
    "dependencies",
    "deploy",
    "host",
    "logs",
    "processes",
    "queues",
]

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class System(Generic[S]):
    """What a target may have, and how `opsnb.toml` describes it."""

    name: str
    """What its findings call it."""
    title: str
    """What people call it."""
    settings: type[S]
    """Its table of `opsnb.toml`."""
    table: str = ""
    """The name of that table, where it is not the system's own."""
    shorthands: Mapping[str, str] = field(default_factory=dict)
    """Flat keys of a target, and the key of the table that each stands for."""
    plain: str = ""
    """The key that a plain value stands for, given in place of the table."""
    inherits: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Keys that, when empty, are those of another system: its table and key."""

    @property
    def key(self) -> str:
        """The name of its table in `opsnb.toml`."""
        return self.table or self.name


@cache
def systems() -> tuple[System[Settings], ...]:
    """Return the systems that are installed, by name."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    for name in _BUILT_IN:  # an older editable installation has no such entry points yet
        place = f"opsnb.systems.{name}.system:{name.upper()}"
        found.setdefault(name, EntryPoint(name, place, GROUP))
    return tuple(found[name].load() for name in sorted(found))


@cache
def table_of(settings: type[Settings]) -> str:
    """Return the name of the table that `settings` describe."""
    return next(system.key for system in systems() if system.settings is settings)


@cache
def shorthands() -> dict[str, tuple[str, str]]:
    """Return the flat keys of a target, each with the table and the key that it stands for."""
    return {
        short: (system.key, key) for system in systems() for short, key in system.shorthands.items()
    }


@cache
def plain_keys() -> dict[str, str]:
    """Return the tables in whose place a plain value may stand, each with the key that it is."""
    return {system.key: system.plain for system in systems() if system.plain}
