"""Targets: what a runbook operates on, as `opsnb.toml` describes it.

The file is looked for at `$OPSNB_CONFIG`, then as `opsnb.toml` in the working folder and its
parents. Without one the handbook's defaults hold, as the target `local`. `${NAME}` is read from
the environment, and only for the target that is asked for, so that a missing variable of one
target never keeps another from being operated.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from opsnb.errors import ConfigError, UnknownTarget, did_you_mean
from opsnb.model import Threshold
from opsnb.redaction import safe_url, url_secrets
from opsnb.thresholds import HANDBOOK

CONFIG_NAME = "opsnb.toml"
DEMO = "demo"
LOCAL = "local"

TargetId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*$")
]


class _Table(BaseModel):
    """A table of `opsnb.toml`; a key that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Processes(_Table):
    """`[targets.NAME.processes]`: what keeps the service's processes running."""

    manager: Literal["pm2", "docker", "systemd"] = Field(
        "pm2", description="What runs the processes."
    )
    names: tuple[str, ...] = Field(
        (), description="Processes, containers or units that must be up. Empty: all that it lists."
    )
    command: str = Field(
        "", description="The manager's program on the host, when it is not on the PATH."
    )


class Limits(_Table):
    """`[thresholds]` and `[targets.NAME.thresholds]`: limits in place of the handbook's."""

    warn: float | None = Field(None, description="Where the metric turns warn.")
    crit: float | None = Field(None, description="Where the metric turns crit.")


class Target(_Table):
    """`[targets.NAME]`: a system under operation."""

    name: str = Field("", exclude=True, repr=False)
    api_url: str = Field("", description="Base URL of the HTTP API.")
    redis_url: str = Field("", repr=False, description="Redis or Valkey, for queues and cache.")
    database_url: str = Field("", repr=False, description="PostgreSQL.")
    pg_bin: str = Field(
        "",
        description="Folder of pg_dump and psql on this machine, when they are not on the PATH.",
    )
    dashboard_url: str = Field("", description="Bull Board, for links.")
    host: str = Field(
        "local",
        pattern=r"^(local|ssh://[^\s]+)$",
        description="Where disk, memory, processes and logs are read: `local` or `ssh://user@host:port`.",
    )
    queues: tuple[str, ...] = Field(
        (), description="BullMQ queues. Empty: those that are found in Redis."
    )
    queue_prefix: str = Field("bull", description="BullMQ's key prefix.")
    logs: tuple[str, ...] = Field(
        ("/var/log/app.log",),
        description="Live log files; their rotated and gzipped siblings are found by themselves.",
    )
    processes: Processes = Field(
        Processes(), description="What keeps the service's processes running."
    )
    protected: bool = Field(
        False, description="True: an action needs the target's name typed (`--confirm NAME`)."
    )
    time_limit_s: float = Field(
        3.0, gt=0, le=60, description="How long one call to a system may take, in seconds."
    )
    thresholds: dict[str, Limits] = Field(
        default_factory=dict, description="Limits of this target, by metric."
    )

    def threshold(self, metric: str) -> Threshold:
        """Return the limits of `metric` for this target: its own, else the handbook's."""
        limits = self.thresholds.get(metric)
        if limits is None:
            return HANDBOOK[metric]
        return HANDBOOK[metric].model_copy(
            update={**limits.model_dump(exclude_unset=True), "source": CONFIG_NAME}
        )

    @property
    def secrets(self) -> set[str]:
        """The passwords in this target's URLs."""
        urls = (self.api_url, self.redis_url, self.database_url, self.dashboard_url, self.host)
        return set().union(*map(url_secrets, urls))

    def describe(self) -> dict[str, str]:
        """Return this target's addresses, fit to be shown: no password in them."""
        return {
            "api": safe_url(self.api_url),
            "redis": safe_url(self.redis_url),
            "database": safe_url(self.database_url),
            "host": safe_url(self.host),
        }


class Contact(_Table):
    """`[[contacts]]`: whom to call, for the contacts page."""

    role: str = Field(description="For what they are called.")
    name: str = Field("TBD", description="Who it is.")
    contact: str = Field("TBD", description="How to reach them.")
    availability: str = Field("", description="When they can be reached.")


class Records(_Table):
    """`[records]`: where executed notebooks are kept."""

    store: str = Field(
        "records",
        description="A folder, relative to `opsnb.toml`, or any fsspec URL.",
    )


HANDBOOK_CONTACTS = tuple(
    Contact(role=role, availability=availability)
    for role, availability in (
        ("On-Call Engineer", "24/7"),
        ("Database Admin", "Business hours"),
        ("DevOps Lead", "Business hours"),
        ("Engineering Manager", "Business hours"),
    )
)


class _File(_Table):
    """The whole of `opsnb.toml`."""

    targets: dict[TargetId, dict[str, Any]] = Field(default_factory=dict)
    contacts: tuple[Contact, ...] = HANDBOOK_CONTACTS
    records: Records = Records()
    thresholds: dict[str, Limits] = Field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """`opsnb.toml` as read: targets stay unexpanded until one is asked for."""

    path: Path | None = None
    contacts: tuple[Contact, ...] = HANDBOOK_CONTACTS
    records: Records = field(default_factory=Records)
    thresholds: dict[str, Limits] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each target's table as written."""
    files: dict[str, Path] = field(default_factory=dict)
    """The file that each target stands in."""

    @property
    def store(self) -> str:
        """The record store: an absolute folder or an fsspec URL."""
        store = os.environ.get("OPSNB_RECORDS") or self.records.store
        if "://" in store:
            return store
        base = self.path.parent if self.path else Path.cwd()
        return str((base / Path(store).expanduser()).resolve())

    @property
    def names(self) -> list[str]:
        """The names of the targets that are known."""
        return sorted(self.tables)

    def target(self, name: str) -> Target:
        """Return the target `name` with its `${VAR}`s filled in.

        Raises UnknownTarget, and ConfigError when a variable is not set or a value is unusable.
        """
        if name not in self.tables:
            raise UnknownTarget(self._unknown(name))
        where = f"[targets.{name}] in {self.files.get(name, 'the defaults')}"
        table = _expand(self.tables[name], where)
        table["thresholds"] = {
            **{
                metric: limits.model_dump(exclude_unset=True)
                for metric, limits in self.thresholds.items()
            },
            **table.get("thresholds", {}),
        }
        target = _validated(Target, {**table, "name": name}, where)
        _check_metrics(target.thresholds, where)
        _check_urls(target, where)
        return target

    def _unknown(self, name: str) -> str:
        if name == DEMO:
            return "Target 'demo' is the demo stack, which is not up. Start it with: opsnb demo up"
        return f"There is no target '{name}' in {self.path or 'the defaults'}." + did_you_mean(
            name, self.names
        )


def demo_home() -> Path:
    """Return the folder that holds the demo stack's state, whether it is up or not."""
    if home := os.environ.get("OPSNB_DEMO_HOME"):
        return Path(home).expanduser().resolve()
    return state_home() / "demo"


def state_home() -> Path:
    """Return the folder for what opsnb keeps on this machine besides records."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return (Path(state) / "opsnb").expanduser()


def find_config(start: Path | None = None) -> Path | None:
    """Return the path of the `opsnb.toml` that is in force, or None when there is none."""
    if named := os.environ.get("OPSNB_CONFIG"):
        path = Path(named).expanduser().resolve()
        if not path.is_file():
            raise ConfigError(
                f"$OPSNB_CONFIG names {path}, which is not a file; correct or unset it."
            )
        return path
    start = (start or Path.cwd()).resolve()
    candidates = (folder / CONFIG_NAME for folder in (start, *start.parents))
    return next((path for path in candidates if path.is_file()), None)


def load_config(path: Path | None = None) -> Config:
    """Return the configuration in force: `path`, else the file that is found, else the defaults.

    The demo stack's target is added while the stack is up.
    """
    path = path or find_config()
    file = _read(path) if path else None
    tables = dict(file.targets) if file else {LOCAL: _handbook_target()}
    files = dict.fromkeys(tables, path) if path else {}
    demo = demo_home() / CONFIG_NAME
    if DEMO not in tables and demo.is_file() and DEMO in (stack := _read(demo).targets):
        tables[DEMO] = stack[DEMO]
        files[DEMO] = demo
    return Config(
        path=path,
        contacts=file.contacts if file else HANDBOOK_CONTACTS,
        records=file.records if file else Records(),
        thresholds=file.thresholds if file else {},
        tables=tables,
        files={name: where for name, where in files.items() if where},
    )


def load_target(name: str) -> Target:
    """Return the target `name` of the configuration in force."""
    return load_config().target(name)


def _handbook_target() -> dict[str, Any]:
    """Return what the handbook itself assumes about a system that nobody has described."""
    return {
        "api_url": "http://localhost:3001",
        "dashboard_url": "http://localhost:3001/admin/queues",
        "redis_url": os.environ.get("REDIS_URL", "redis://localhost:6379"),
        "database_url": os.environ.get("DATABASE_URL", ""),
    }


def _read(path: Path) -> _File:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}. Make it a readable text file."
        ) from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}. Correct that line.") from error
    targets = tables.pop("targets", {})
    file = _validated(_File, {**_expand(tables, str(path)), "targets": targets}, str(path))
    _check_metrics(file.thresholds, f"[thresholds] in {path}")
    return file


def _check_metrics(limits: Mapping[str, Limits], where: str) -> None:
    for metric in limits:
        if metric not in HANDBOOK:
            raise ConfigError(
                f"{where} sets limits for '{metric}', which is no metric."
                + did_you_mean(metric, HANDBOOK)
            )


_SCHEMES = {
    "api_url": ("http", "https"),
    "dashboard_url": ("http", "https"),
    "redis_url": ("redis", "rediss", "unix"),
    "database_url": ("postgres", "postgresql"),
}


def _check_urls(target: Target, where: str) -> None:
    for key, schemes in _SCHEMES.items():
        url = getattr(target, key)
        if not url:
            continue
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            # The error's own text may quote a part of the password.
            raise ConfigError(
                f"{where}: {key} '{safe_url(url)}' is not a URL; write the special characters of "
                "its password percent-encoded, and its port as a number."
            ) from None
        if parts.scheme not in schemes:
            raise ConfigError(
                f"{where}: {key} '{safe_url(url)}' must start with "
                + " or ".join(f"{scheme}://" for scheme in schemes)
                + "."
            )


def _expand(value: Any, where: str) -> Any:
    """Return `value` with each `${NAME}` in its strings replaced from the environment."""
    if isinstance(value, str):
        return re.sub(r"\$\{([^}]*)\}", lambda match: _variable(match[1], where), value)
    if isinstance(value, dict):
        return {key: _expand(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, where) for item in value]
    return value


def _variable(name: str, where: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        message = f"{where} uses ${{{name}}}, which is not set in the environment."
        near = did_you_mean(name, os.environ)
        raise ConfigError(message + (near if "Did you mean" in near else f" Set {name}.")) from None


_T = TypeVar("_T", bound=_Table)


def _validated(table: type[_T], values: dict[str, Any], where: str) -> _T:
    """Return `values` as a `table`. Raises ConfigError on the first thing that is wrong."""
    try:
        return table.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        if first["type"] == "extra_forbidden":
            key = str(first["loc"][-1])
            known = _known_keys(table, first["loc"][:-1])
            raise ConfigError(
                f"{where} has the key '{place}', which is not known." + did_you_mean(key, known)
            ) from None
        raise ConfigError(f"{where}: {place}: {first['msg']}.") from None


def _known_keys(table: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table at `path` below `table` takes."""
    at: Any = table
    for part in path:
        if isinstance(part, str) and part in at.model_fields:
            inner = at.model_fields[part].annotation
            arguments = getattr(inner, "__args__", ())
            at = next((a for a in (inner, *arguments) if hasattr(a, "model_fields")), at)
    return [name for name in at.model_fields if name != "name"]
