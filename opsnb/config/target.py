"""A target: what a runbook operates on, as `[targets.NAME]` describes it.

It holds no list of systems: each has a table of its own, which it defines itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    StrictBool,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema

from opsnb.config.places import CONFIG_NAME
from opsnb.config.settings import Limits, Maintenance, S, Settings, Table
from opsnb.config.systems import plain_keys, shorthands, systems, table_of, tables, thresholds
from opsnb.errors import did_you_mean
from opsnb.model import Threshold
from opsnb.redaction import safe_url

SYSTEMS = "systems"
"""The field of a target that holds the tables of its systems."""
_LONGEST_NAME = 40


def unfolded(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return `table` with its shorthands put into the tables of their systems.

    A plain value in place of a system's table is short too: `queues = ["emails"]`. Raises
    ValueError when a key is given both ways.
    """
    found = dict(table)
    for system, key in plain_keys().items():
        if system in found and not isinstance(found[system], Mapping | Table):
            found[system] = {key: found[system]}
    for short, (system, key) in shorthands().items():
        if not _is_in(short, found):
            continue
        inner = found.get(system, {})
        if not isinstance(inner, dict):
            continue  # refused by the schema
        if key in inner:
            raise ValueError(f"sets both {short} and {system}.{key}; keep one of them")
        found[system] = {**inner, key: _taken(short, found)}
    return found


def _is_in(short: str, table: Mapping[str, Any]) -> bool:
    shared, _, key = short.rpartition(".")
    inner = table.get(shared) if shared else table
    return isinstance(inner, Mapping) and key in inner


def _taken(short: str, table: dict[str, Any]) -> Any:
    """Return the value of a shorthand, and take it out of `table`."""
    shared, _, key = short.rpartition(".")
    if not shared:
        return table.pop(key)
    inner = dict(table.pop(shared))
    value = inner.pop(key)
    if inner:
        table[shared] = inner
    return value


def name_of_key(table: Mapping[str, Any], system: str, key: str) -> str:
    """Return the name under which `table` sets a system's key."""
    short = next((name for name, place in shorthands().items() if place == (system, key)), "")
    if short and _is_in(short, table):
        return short
    plain = plain_keys().get(system) == key and not isinstance(table.get(system), Mapping)
    return system if plain else f"{system}.{key}"


class _Systems:
    """The tables of all systems, as the type of a field: its schema is that of the registry."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fields: dict[str, Any] = {name: (kind, kind()) for name, kind in tables().items()}
        return handler.generate_schema(create_model("Systems", __base__=Table, **fields))


class Target(Table):
    """`[targets.NAME]`: a system under operation.

    Each of its systems has a table of its own; `target.settings(...)` returns it.
    """

    name: str = Field("", exclude=True, repr=False)
    protected: StrictBool = Field(
        False, description="True: an action needs the target's name typed (`--confirm NAME`)."
    )
    time_limit_s: float = Field(
        3.0, gt=0, le=60, description="How long one call to a system may take, in seconds."
    )
    maintenance: Maintenance | None = Field(
        None, description="When maintenance may change something."
    )
    thresholds: dict[str, Limits] = Field(
        default_factory=dict, description="Limits of this target, by metric."
    )
    systems: _Systems = Field(exclude=True)
    _more_secrets: frozenset[str] = PrivateAttr(frozenset())

    def __init__(self, **keys: Any) -> None:
        """Take the keys of the table, those of the systems too."""
        super().__init__(**keys)

    @model_validator(mode="before")
    @classmethod
    def _in_tables(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if SYSTEMS in values:
            raise ValueError(f"has the key '{SYSTEMS}', which is not known")
        table = unfolded(values)
        of_systems = {name: table.pop(name) for name in tables() if name in table}
        _check_shared(table)
        return {**table, SYSTEMS: of_systems}

    @model_validator(mode="after")
    def _inherited(self) -> Self:
        """Fill what is empty from another system: the queues live in the cache's Redis."""
        for name in tables():
            own = self._table(name)
            update = {
                key: getattr(self._table(system), other)
                for key, (system, other) in systems()[name].inherits.items()
                if not getattr(own, key)
            }
            if update:  # frozen for everyone else
                object.__setattr__(self.systems, name, own.model_copy(update=update))
        return self

    def settings(self, kind: type[S]) -> S:
        """Return the settings of one system, by their type."""
        found: S = getattr(self.systems, table_of(kind))
        return found

    def _table(self, system: str) -> Settings:
        found: Settings = getattr(self.systems, system)
        return found

    def _is_inherited(self, system: str, key: str) -> bool:
        source = systems()[system].inherits.get(key)
        return source is not None and self.given(f"{system}.{key}") == self.given(".".join(source))

    def changed(self, **keys: Any) -> Target:
        """Return this target with keys of its table changed, shorthands or whole tables.

        A key of a system's table changes that alone.
        """
        given = {name: self._written(name) for name in tables()}
        for short, (system, key) in shorthands().items():
            if _is_in(short, keys):
                given[system].pop(key, None)
        for system, key in plain_keys().items():
            if system in keys and not isinstance(keys[system], Mapping | Table):
                keys[system] = {**given[system], key: keys[system]}
        own = {key: value for key, value in self if key != SYSTEMS}
        return Target(**{**own, **given, **keys}).with_secrets(self._more_secrets)

    def _written(self, system: str) -> dict[str, Any]:
        """Return what was written of a system's table, without what it has from another system."""
        written = self._table(system).model_dump(exclude_unset=True)
        return {key: value for key, value in written.items() if not self._is_inherited(system, key)}

    def given(self, key: str) -> Any:
        """Return the value of a key such as `logs`, `queues.url`, or the shorthand `redis_url`."""
        system, name = shorthands().get(key) or (key.partition(".")[0], key.partition(".")[2])
        return getattr(self._table(system), name or plain_keys()[system])

    def threshold(self, metric: str) -> Threshold:
        """Return the limits of `metric` for this target: its own, else the handbook's."""
        limits = self.thresholds.get(metric)
        if limits is None:
            return thresholds()[metric]
        own = limits.model_dump(exclude_unset=True)
        return replace(thresholds()[metric], **own, source=CONFIG_NAME)

    def limit(self, metric: str, given: float | None = None) -> float:
        """Return where `metric` turns bad: at `given` where it is, else at the first own limit."""
        own = self.threshold(metric).limits.values()
        return next(iter(own), math.inf) if given is None else given

    @property
    def secrets(self) -> set[str]:
        """What is secret in its systems' addresses, headers and environments.

        With the variables that its addresses are made of.
        """
        return set(self._more_secrets).union(*(self._table(name).secrets() for name in tables()))

    def with_secrets(self, secrets: frozenset[str]) -> Target:
        """Return this target, which knows these secrets too."""
        found = self.model_copy()
        found._more_secrets = self._more_secrets | secrets
        return found

    def describe(self) -> dict[str, str]:
        """Return this target's addresses by system, fit to be shown: no password in them."""
        return {
            system.reported_as: safe_url(getattr(self._table(name), system.address))
            for name, system in systems().items()
            if system.address and not self._is_inherited(name, system.address)
        }


def _check_shared(table: dict[str, Any]) -> None:
    """Raise ValueError on what no system took from a table that several of them share."""
    shared = [short.partition(".") for short in shorthands() if "." in short]
    for name in {name for name, _, _ in shared} & table.keys():
        if not isinstance(table[name], Mapping):
            raise ValueError(f"{name} must be a table")
        known = [key for each, _, key in shared if each == name]
        key = next(iter(table.pop(name)), "")
        if not key:
            continue
        raise ValueError(
            f"has the key '{name}.{key}', which is not known.{did_you_mean(key, known)}"
        )


def stand_in(patterns: Sequence[str]) -> Target:
    """Return what stands for several targets in the record that sums them up: a mere name.

    `prod-*`, `a+b`, `a+11 more`: no target can have such a name.
    """
    name = "+".join(patterns)
    if len(patterns) > 1 and len(name) > _LONGEST_NAME:
        name = f"{patterns[0]}+{len(patterns) - 1} more"
    return Target(name=name)
