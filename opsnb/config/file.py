"""`opsnb.toml`: read, checked, and asked for its targets.

Without one the handbook's defaults hold, as the target `local`. `${NAME}` is read from
the environment, and only for the target that is asked for, so that a missing variable of one
target never keeps another from being operated.
"""

from __future__ import annotations

import fnmatch
import os
import time
import tomllib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from opsnb.config.places import CONFIG_NAME, at_home, demo_home, find_config, resolved
from opsnb.config.schema import HANDBOOK_CONTACTS, Contact, File, Records
from opsnb.config.settings import Limits, Secret
from opsnb.config.systems import systems, tables
from opsnb.config.target import Target, unfolded
from opsnb.config.unattended import Notify, Schedule, address_secrets, check_channels
from opsnb.config.validation import check_characters, check_metrics, validated
from opsnb.config.variables import expand, expand_if_set, names_in
from opsnb.errors import ConfigError, UnknownTarget, UsageError, did_you_mean

DEMO = "demo"
LOCAL = "local"
"""The target that there is without a file."""
ALL = "all"
"""In place of a target's name: every target that there is."""
_SETTLED_S = 2.0


@dataclass(frozen=True)
class Config:
    """`opsnb.toml` as read: targets stay unexpanded until one is asked for."""

    path: Path | None = None
    contacts: tuple[Contact, ...] = HANDBOOK_CONTACTS
    records: Records = field(default_factory=Records)
    thresholds: dict[str, Limits] = field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    notify: tuple[Notify, ...] = ()
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each target's table as written."""
    files: dict[str, Path] = field(default_factory=dict)
    """The file that each target stands in."""

    @property
    def store(self) -> str:
        """The record store: an absolute folder or an fsspec URL."""
        named = os.environ.get("OPSNB_RECORDS")
        store = named or self.records.store
        for local in ("file://", "local://"):
            store = store.removeprefix(local)  # fsspec's are relative to the working folder
        if "://" in store:
            return store
        base = self.path.parent if self.path and not named else Path()
        return str(resolved(base / at_home(store)))

    @property
    def names(self) -> list[str]:
        """The names of the targets that are known."""
        return sorted(self.tables)

    @property
    def only(self) -> str:
        """The target that is meant when none is named: the only one that is configured.

        The demo where nothing is configured. Raises UsageError where several are.
        """
        if self.path:
            configured = [name for name in self.names if self.files[name] == self.path]
        else:
            configured = [LOCAL] if _variables_of_local() & os.environ.keys() else []
        if len(configured) > 1:
            raise UsageError(
                f"{self.path} has several targets; name one of them with -t: "
                f"{', '.join(configured)}."
            )
        return configured[0] if configured else DEMO

    def target(self, name: str) -> Target:
        """Return the target `name` with its `${VAR}`s filled in.

        Raises UnknownTarget, and ConfigError when a variable is not set or a value is unusable.
        """
        if name not in self.tables:
            raise UnknownTarget(self._unknown(name))
        where = f"[targets.{name}] in {self.files.get(name, 'the defaults')}"
        table = self.tables[name]
        values = expand(table, where)
        check_characters(values, where)
        target = validated(Target, {**values, "name": name}, where)
        check_metrics(target.thresholds, where)
        target = target.model_copy(update={"thresholds": self._limits(target.thresholds)})
        more = _password_parts(table, target.secrets) | self.secrets
        return target.with_secrets(more)

    @property
    def secrets(self) -> frozenset[str]:
        """What is secret in the addresses of notifications and pings, as far as they are known."""
        written = [*(each.url for each in self.notify), *(each.ping for each in self.schedules)]
        known = [text for text in map(expand_if_set, written) if text]
        return frozenset().union(*map(address_secrets, known))

    def matching(self, patterns: Iterable[str]) -> list[str]:
        """Return the names of the targets that `patterns` mean, each once, in the order given.

        A pattern is a name, a glob such as `prod-*`, or `all`. Raises UnknownTarget on the first
        that means none.
        """
        return list(dict.fromkeys(name for pattern in patterns for name in self._meant(pattern)))

    def _meant(self, pattern: str) -> list[str]:
        if pattern in self.tables:
            return [pattern]
        found = self.names if pattern == ALL else fnmatch.filter(self.names, pattern)
        if not found:
            raise UnknownTarget(self._unknown(pattern))
        return found

    def _limits(self, own: Mapping[str, Limits]) -> dict[str, Limits]:
        """Return the file's limits with a target's `own` put over them, one by one."""
        return self.thresholds | {
            metric: self.thresholds.get(metric, Limits()).model_copy(
                update=limits.model_dump(exclude_unset=True)
            )
            for metric, limits in own.items()
        }

    def _unknown(self, name: str) -> str:
        if name == DEMO:
            return "Target 'demo' is the demo stack, which is not up. Start it with: opsnb demo up"
        return f"There is no target '{name}' in {self.path or 'the defaults'}." + did_you_mean(
            name, self.names
        )


def load_config(path: Path | None = None) -> Config:
    """Return the configuration in force: `path`, else the file that is found, else the defaults.

    The demo stack's target is added while the stack is up. What the file itself says of `demo`,
    such as where a system of one's own is, goes before that.
    """
    path = path or find_config()
    file = _read(path) if path else File(targets={LOCAL: _handbook_target()})
    tables = dict(file.targets)
    files = dict.fromkeys(tables, path) if path else {}
    demo = demo_home() / CONFIG_NAME
    if demo.is_file() and DEMO in (stack := _read(demo).targets):
        tables[DEMO] = {**stack[DEMO], **tables.get(DEMO, {})}
        files.setdefault(DEMO, demo)
    return Config(
        path=path,
        contacts=file.contacts,
        records=file.records,
        thresholds=file.thresholds,
        schedules=file.schedules,
        notify=file.notify,
        tables=tables,
        files={name: where for name, where in files.items() if where},
    )


def load_target(name: str) -> Target:
    """Return the target `name` of the configuration in force; the only one when it is empty."""
    config = load_config()
    return config.target(name or config.only)


def _variables_of_local() -> set[str]:
    return {name for system in systems().values() for name in system.variables.values()}


def _handbook_target() -> dict[str, Any]:
    """Return what the handbook itself assumes about a system that nobody has described."""
    table: dict[str, dict[str, str]] = {}
    for name, system in systems().items():
        set_here = {
            key: os.environ[variable]
            for key, variable in system.variables.items()
            if variable in os.environ
        }
        if found := {**system.defaults, **set_here}:
            table[name] = found
    return table


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of the file at `path`, which is read again when it has changed.

    A file of many targets takes long to read: a process that forks reads it for its children.
    """
    try:
        found = path.stat()
        # What was written just now may be written again without a trace in its times.
        is_fresh = abs(time.time() - found.st_mtime) < _SETTLED_S
        toml = _toml.__wrapped__ if is_fresh else _toml
        tables = toml(path.resolve(), found.st_mtime_ns, found.st_size, found.st_ino)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}. Make it a readable text file."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}. Correct that line.") from error
    except RecursionError:
        raise ConfigError(f"{path} has brackets nested too deeply; correct them.") from None
    return dict(tables)


@lru_cache(maxsize=4)
def _toml(path: Path, *_version: int) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8-sig"))


def _read(path: Path) -> File:
    tables = read_toml(path)
    targets = tables.pop("targets", {})
    values = {**_expand_but_addresses(tables, str(path)), "targets": targets}
    check_characters(values.get("records"), str(path))
    file = validated(File, values, str(path))
    check_metrics(file.thresholds, f"[thresholds] in {path}")
    check_channels(
        file.notify,
        targets=[*targets, DEMO],
        schedules=[schedule.name for schedule in file.schedules],
        path=path,
    )
    return file


def _expand_but_addresses(tables: dict[str, Any], where: str) -> dict[str, Any]:
    """Return `tables` with their `${NAME}`s filled in, but for what only unattended runs need."""
    found = {
        key: value if key == "notify" else expand(value, where)
        for key, value in tables.items()
        if key != "schedules"
    }
    if "schedules" in tables:
        found["schedules"] = _schedules(tables["schedules"], where)
    return found


def _schedules(written: Any, where: str) -> Any:
    if not isinstance(written, list):
        return written  # refused by the schema
    return [
        {key: value if key == "ping" else expand(value, where) for key, value in each.items()}
        if isinstance(each, dict)
        else each
        for each in written
    ]


def variables(path: Path, names: Container[str] | None = None) -> list[str]:
    """Return the environment variables that the file at `path` uses.

    Of its targets those of `names` count, all by default.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    targets = tables.pop("targets", {})
    wanted = {name: each for name, each in targets.items() if names is None or name in names}
    return sorted({*names_in(tables), *names_in(wanted)})


def _password_parts(table: Mapping[str, Any], secrets: set[str]) -> frozenset[str]:
    """Return the values of the variables in the addresses of `table` that are parts of `secrets`.

    Only of these: a variable may as well be a host, which must stay readable.
    """
    written = unfolded(table)
    addresses = [
        str(written.get(name, {}).get(key, ""))
        for name, settings in tables().items()
        for key, how in settings.secret_keys().items()
        if how in (Secret.URL, Secret.VALUE)
    ]
    values = {os.environ[name] for name in names_in(addresses)}
    return frozenset(value for value in values if any(value in secret for secret in secrets))
