"""What opsnb can operate: each system registers itself under the entry point `opsnb.systems`.

A system describes itself in a module that imports no driver, so that a listing stays quick; its
checks and actions are imported when they are first used. Built-in systems and those of other
packages come in the same way::

    [project.entry-points."opsnb.systems"]
    rabbitmq = "opsnb_rabbitmq.system:RABBITMQ"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from opsnb.config.settings import Configured, Settings
from opsnb.config.thresholds import handbook
from opsnb.model import Threshold

GROUP = "opsnb.systems"


@dataclass(frozen=True)
class System:
    """What a target may have, and how `opsnb.toml` describes it.

    What needs a driver is named as `module:attribute` and imported when it is used.
    """

    name: str
    """Its entry point, its table of `opsnb.toml`, and what its checks' names begin with."""
    title: str
    """What people call it."""
    settings: type[Settings] | None = None
    """Its table of `opsnb.toml`; None where it has none."""
    server: str = ""
    """What `needs=` and errors call it, where that is not its name."""
    shorthands: Mapping[str, str] = field(default_factory=dict)
    """Flat keys of a target, such as `redis_url`, and the key of the table that each stands for.
    One with a dot is a key of a table that several systems share, such as `restart.redis`."""
    plain: str = ""
    """The key that a plain value stands for, given in place of the table: `queues = ["emails"]`."""
    address: str = ""
    """The key that says where it is, shown without its password."""
    inherits: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Keys that, when empty, are those of another system: its name and key."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Its keys where there is no `opsnb.toml` at all."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The environment variables that set its keys where there is no `opsnb.toml`."""
    thresholds: tuple[Threshold, ...] = ()
    """The limits of what it measures, which `opsnb.toml` can set."""
    cause: Callable[[Configured], str] | None = None
    """Returns the `server` that is down when this one is, where one server may be two systems."""
    probes: str = ""
    """`module:attribute` of a tuple of `opsnb.checks.probe.Probe`: what `opsnb doctor` checks."""
    dependency: str = ""
    """`module:attribute` of a function of the target that returns an
    `opsnb.systems.dependencies.Dependency`: whether it is up, and how it is started. Systems with
    one are what a service depends on; `incidents/service_down` starts those that are down."""
    faults: str = ""
    """`module:attribute` of a tuple of `opsnb.demo.faults.Fault`: what to practise on."""

    @property
    def reported_as(self) -> str:
        """What `needs=` and errors call it."""
        return self.server or self.name


def attribute(place: str) -> Any:
    """Return what stands at `module:attribute`."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@cache
def registered() -> dict[str, EntryPoint]:
    """Return the entry points of the systems that are installed, by name."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}


@cache
def system_of(package: str) -> str:
    """Return the name of the system that `package` belongs to; empty when it is none's.

    Nothing is imported for that: a system's package is where its registration stands.
    """
    packages = {entry.module.rpartition(".")[0]: name for name, entry in registered().items()}
    while package and package not in packages:
        package = package.rpartition(".")[0]
    return packages.get(package, "")


@cache
def systems() -> dict[str, System]:
    """Return the systems that are installed, by name."""
    return {name: entry.load() for name, entry in registered().items()}


@cache
def tables() -> dict[str, type[Settings]]:
    """Return the tables of a target that belong to systems, by name."""
    return {name: each.settings for name, each in systems().items() if each.settings}


@cache
def table_of(settings: type[Settings]) -> str:
    """Return the name of the table that `settings` describe."""
    return next(name for name, each in tables().items() if each is settings)


@cache
def shorthands() -> dict[str, tuple[str, str]]:
    """Return the flat keys of a target, each with the table and the key that it stands for."""
    return {
        short: (name, key)
        for name, system in systems().items()
        for short, key in system.shorthands.items()
    }


@cache
def plain_keys() -> dict[str, str]:
    """Return the tables in whose place a plain value may stand, each with the key that it is."""
    return {name: system.plain for name, system in systems().items() if system.plain}


@cache
def thresholds() -> dict[str, Threshold]:
    """Return the limits that hold where `opsnb.toml` sets none, by metric."""
    own = {each.metric: each for system in systems().values() for each in system.thresholds}
    return handbook() | own


def variable_of(key: str) -> str:
    """Return the variable that sets a key, such as `redis_url`, where there is no `opsnb.toml`."""
    name, _, inner = key.partition(".")
    system, inner = shorthands().get(key, (name, inner))
    return systems()[system].variables.get(inner, "")


@cache
def system_reported_as(server: str) -> System | None:
    """Return the system that `needs=` and errors call `server`."""
    return next((each for each in systems().values() if each.reported_as == server), None)
