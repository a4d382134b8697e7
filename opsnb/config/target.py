"""Targets: what a runbook operates on, as `opsnb.toml` describes it.

Without one the handbook's defaults hold, as the target `local`. `${NAME}` is read from
the environment, and only for the target that is asked for, so that a missing variable of one
target never keeps another from being operated.
"""

from __future__ import annotations

import fnmatch
import os
import re
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    StrictBool,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema

from opsnb.config.places import CONFIG_NAME, at_home, demo_home, find_config, resolved
from opsnb.config.settings import Identifier, Limits, Maintenance, S, Settings, Table
from opsnb.config.systems import System, plain_keys, shorthands, systems, table_of
from opsnb.config.thresholds import HANDBOOK
from opsnb.config.unattended import Notify, Schedule, address_secrets, check_channels
from opsnb.errors import ConfigError, UnknownTarget, UsageError, did_you_mean
from opsnb.model import Threshold
from opsnb.redaction import environment_secrets, header_secrets, safe_url, value_secrets

DEMO = "demo"
LOCAL = "local"
ALL = "all"
"""In place of a target's name: every target that there is."""


def _unfolded(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return `table` with its shorthands put into the tables of their systems.

    A plain value in place of a system's table is short too: `queues = ["emails"]`. Raises
    ValueError when a key is given both ways.
    """
    found = dict(table)
    for system, key in plain_keys().items():
        if system in found and not isinstance(found[system], Mapping | Table):
            found[system] = {key: found[system]}
    for short, (system, key) in shorthands().items():
        if short not in found:
            continue
        inner = found.get(system, {})
        if not isinstance(inner, dict):
            continue  # refused by the schema
        if key in inner:
            raise ValueError(f"sets both {short} and {system}.{key}; keep one of them")
        found[system] = {**inner, key: found.pop(short)}
    return found


def _written(table: Mapping[str, Any], system: str, key: str) -> str:
    """Return the name under which `table` sets a system's key."""
    place = (system, key)
    short = next((name for name, stands_for in shorthands().items() if stands_for == place), "")
    if short in table:
        return short
    plain = plain_keys().get(system) == key and not isinstance(table.get(system), Mapping)
    return system if plain else f"{system}.{key}"


_HTTP = ("http", "https")
_REDIS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_CHECKED: tuple[str, ...] = ()
"""The schemes of a URL that its own table checks."""
_URLS = {
    ("api", "url"): _HTTP,
    ("queues", "dashboard"): _HTTP,
    ("cache", "url"): _REDIS,
    ("queues", "url"): _REDIS,
    ("database", "url"): _CHECKED,
    ("database", "direct_url"): _CHECKED,
}
"""Each URL's key, and the schemes that it may have."""


_SYSTEMS = "systems"
"""The field of a target that holds the tables of its systems."""


class _Systems:
    """The tables of all systems, as the type of a field: its schema is that of the registry."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fields: dict[str, Any] = {
            system.key: (system.settings, system.settings()) for system in systems()
        }
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
    _password_parts: frozenset[str] = PrivateAttr(frozenset())
    """The values of variables of which passwords in the URLs are put together."""

    def __init__(self, **keys: Any) -> None:
        """Take the keys of the table, those of the systems too."""
        super().__init__(**keys)

    @model_validator(mode="before")
    @classmethod
    def _in_tables(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        tables = _unfolded(values)
        of_systems = {
            system.key: tables.pop(system.key) for system in systems() if system.key in tables
        }
        return {**tables, "systems": of_systems}

    @model_validator(mode="after")
    def _inherited(self) -> Self:
        """Fill what is empty from another system: the queues live in the cache's Redis."""
        for system in systems():
            own = getattr(self.systems, system.key)
            update = {
                key: self._value(*source)
                for key, source in system.inherits.items()
                if not getattr(own, key)
            }
            if update:
                object.__setattr__(self.systems, system.key, own.model_copy(update=update))
        return self

    def settings(self, kind: type[S]) -> S:
        """Return the settings of one system, by their type."""
        found: S = getattr(self.systems, table_of(kind))
        return found

    def _value(self, system: str, key: str) -> Any:
        return getattr(getattr(self.systems, system), key)

    def changed(self, **keys: Any) -> Target:
        """Return this target with keys of its table changed, shorthands or whole tables.

        A key of a system's table changes that alone.
        """
        tables = {system.key: self._given_to(system) for system in systems()}
        for short, (system, key) in shorthands().items():
            if short in keys:
                tables[system].pop(key, None)
        for system, key in plain_keys().items():
            if system in keys and not isinstance(keys[system], Mapping | Table):
                keys[system] = {**tables[system], key: keys[system]}
        own = {key: value for key, value in self if key != "systems"}
        found = Target(**{**own, **tables, **keys})
        found._password_parts = self._password_parts
        return found

    def _given_to(self, system: System[Settings]) -> dict[str, Any]:
        """Return what was given of a system's table, without what it has from another system."""
        settings: Settings = getattr(self.systems, system.key)
        given = settings.model_dump(exclude_unset=True)
        for key, source in system.inherits.items():
            if given.get(key) == self._value(*source):
                given.pop(key, None)
        return given

    def given(self, key: str) -> Any:
        """Return the value of a key such as `logs`, `queues.url`, or the shorthand `redis_url`."""
        system, _, name = ".".join(shorthands().get(key, (key,))).partition(".")
        return self._value(system, name or plain_keys()[system])

    @property
    def has_one_redis(self) -> bool:
        """Whether the queues live on the cache's server, asked by the same login."""
        return _server(self.given("cache.url")) == _server(self.given("queues.url"))

    def threshold(self, metric: str) -> Threshold:
        """Return the limits of `metric` for this target: its own, else the handbook's."""
        limits = self.thresholds.get(metric)
        if limits is None:
            return HANDBOOK[metric]
        own = limits.model_dump(exclude_unset=True)
        return replace(HANDBOOK[metric], **own, source=CONFIG_NAME)

    @property
    def secrets(self) -> set[str]:
        """What is secret in this target's addresses, headers and the environment of its programs.

        With the variables that its addresses are made of.
        """
        urls = (*(self._value(table, key) for table, key in _URLS), self._value("host", "address"))
        headers = (
            header_secrets(name, value) for name, value in self._value("api", "headers").items()
        )
        known = environment_secrets(self._value("processes", "env"))
        return set(self._password_parts).union(known, *headers, *map(value_secrets, urls))

    def describe(self) -> dict[str, str]:
        """Return this target's addresses, fit to be shown: no password in them."""
        places = {
            "api": self.given("api.url"),
            "redis": self.given("cache.url"),
            "queues": ""
            if self.given("queues.url") == self.given("cache.url")
            else self.given("queues.url"),
            "database": self.given("database.url"),
            "host": self.given("host"),
        }
        return {name: safe_url(place) for name, place in places.items()}


def _server(url: str) -> tuple[str, ...]:
    """Return what tells one Redis and the login there from another, whatever the database."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return (parts.netloc, parts.path)
    if parts.scheme.endswith("+sentinel"):
        return (parts.scheme, parts.netloc, parts.path.strip("/").partition("/")[0])
    login, _, _ = parts.netloc.rpartition("@")
    return (parts.scheme, login, parts.hostname or "localhost", str(parts.port or _REDIS_PORT))


_REDIS_PORT = 6379
_LONGEST_NAME = 40


def stand_in(patterns: Sequence[str]) -> Target:
    """Return what stands for several targets in the record that sums them up: a mere name.

    `prod-*`, `a+b`, `a+11 more`: no target can have such a name.
    """
    name = "+".join(patterns)
    if len(patterns) > 1 and len(name) > _LONGEST_NAME:
        name = f"{patterns[0]}+{len(patterns) - 1} more"
    return Target(name=name)


class Contact(Table):
    """`[[contacts]]`: whom to call, for the contacts page."""

    role: str = Field(description="For what they are called.")
    name: str = Field("TBD", description="Who it is.")
    contact: str = Field("TBD", description="How to reach them.")
    availability: str = Field("", description="When they can be reached.")


class Records(Table):
    """`[records]`: where executed notebooks are kept."""

    store: str = Field(
        "records",
        description="A folder, relative to `opsnb.toml`, or any fsspec URL. `$OPSNB_RECORDS` goes "
        "before it, relative to the working folder.",
    )
    site: str = Field(
        "",
        description="Where the site is published, such as `https://ops.example.com`: notifications "
        "link to its pages.",
    )


class Runbooks(Table):
    """`[runbooks]`: runbooks of one's own, beside those that opsnb brings."""

    paths: tuple[str, ...] = Field(
        (),
        description="Folders, relative to `opsnb.toml`, of `<section>/<runbook>.ipynb`. A runbook "
        "of the same id takes the place of the one that opsnb brings.",
    )
    off: tuple[str, ...] = Field(
        (),
        description="Sections, such as `database`, of which opsnb's own runbooks and those of "
        "installed packages are left out.",
    )
    faults: tuple[str, ...] = Field(
        (),
        description="Modules, such as `acme_ops.faults`, with faults of the demo to practise on.",
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


class _File(Table):
    """The whole of `opsnb.toml`."""

    targets: dict[Identifier, dict[str, Any]] = Field(default_factory=dict)
    contacts: tuple[Contact, ...] = HANDBOOK_CONTACTS
    records: Records = Records()
    runbooks: Runbooks = Runbooks()
    thresholds: dict[str, Limits] = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    notify: tuple[Notify, ...] = ()


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
            configured = [LOCAL] if {"REDIS_URL", "DATABASE_URL"} & os.environ.keys() else []
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
        values = _expand(table, where)
        _check_characters(values, where)
        target = _validated(Target, {**values, "name": name}, where)
        _check_metrics(target.thresholds, where)
        _check_urls(target, table, where)
        _check_host(target.given("host"), where)
        _check_names(target.given("integrity"), "integrity checks", where)
        target = target.model_copy(update={"thresholds": self._limits(target.thresholds)})
        target._password_parts = _password_parts(table, target.secrets) | self.secrets
        return target

    @property
    def secrets(self) -> frozenset[str]:
        """What is secret in the addresses of notifications and pings, as far as they are known."""
        written = [*(each.url for each in self.notify), *(each.ping for each in self.schedules)]
        known = [text for text in map(_known, written) if text]
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
        schedules=file.schedules if file else (),
        notify=file.notify if file else (),
        tables=tables,
        files={name: where for name, where in files.items() if where},
    )


def load_target(name: str) -> Target:
    """Return the target `name` of the configuration in force; the only one when it is empty."""
    config = load_config()
    return config.target(name or config.only)


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
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}. Make it a readable text file."
        ) from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}. Correct that line.") from error
    except RecursionError:
        raise ConfigError(f"{path} has brackets nested too deeply; correct them.") from None
    targets = tables.pop("targets", {})
    values = {**_expand_but_addresses(tables, str(path)), "targets": targets}
    file = _validated(_File, values, str(path))
    _check_metrics(file.thresholds, f"[thresholds] in {path}")
    _check_names(file.schedules, "schedules", str(path))
    _check_names(file.notify, "[[notify]] tables", str(path))
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
        key: value if key == "notify" else _expand(value, where)
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
        {key: value if key == "ping" else _expand(value, where) for key, value in each.items()}
        if isinstance(each, dict)
        else each
        for each in written
    ]


def filled_in(text: str, where: str) -> str:
    """Return `text` with each `${NAME}` replaced. Raises ConfigError when one is not set."""
    return str(_expand(text, where))


def _known(text: str) -> str:
    """Return `text` filled in; empty when a variable of it is not set."""
    try:
        return filled_in(text, "")
    except ConfigError:
        return ""


def _check_names(named: Iterable[Any], what: str, where: str) -> None:
    seen: set[str] = set()
    for item in named:
        if item.name in seen:
            raise ConfigError(
                f"{where} has two {what} named '{item.name}'; give each a name of its own."
            )
        seen.add(item.name)


def variables(path: Path, names: Container[str] | None = None) -> list[str]:
    """Return the environment variables that the file at `path` uses.

    Of its targets those of `names` count, all by default.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    targets = tables.pop("targets", {})
    wanted = {name: each for name, each in targets.items() if names is None or name in names}
    return sorted({*_used(tables), *_used(wanted)})


def _used(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (name for name, _ in _VARIABLE.findall(value))
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _used(item)


def _check_metrics(limits: Mapping[str, Limits], where: str) -> None:
    for metric in limits:
        if metric not in HANDBOOK:
            raise ConfigError(
                f"{where} sets limits for '{metric}', which is no metric."
                + did_you_mean(metric, HANDBOOK)
            )


# What redis-py reads from a URL. Its time limits are opsnb's own, whatever the URL says of them.
_REDIS_OPTIONS = (
    "client_name",
    "db",
    "health_check_interval",
    "max_connections",
    "protocol",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_timeout",
)
_REDIS_NUMBERS = (
    "health_check_interval",
    "max_connections",
    "socket_connect_timeout",
    "socket_timeout",
)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_keyfile",
    "ssl_password",
)
_SENTINEL_OPTIONS = ("sentinel_password", "sentinel_username")  # where they are not Redis' own
_LONGEST_URL = 4096


def _check_urls(target: Target, table: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError on the first URL that is unusable; nothing of it is quoted."""
    for (system, key), schemes in _URLS.items():
        url = target.given(f"{system}.{key}")
        place = f"{where}: {_written(table, system, key)}"
        if not url:
            continue
        if len(url) > _LONGEST_URL:
            raise ConfigError(f"{place} is longer than {_LONGEST_URL:,} characters; correct it.")
        if schemes is _CHECKED:
            continue
        parts = _split(url)
        if parts is None:
            raise ConfigError(
                f"{place} is not a URL; write the special characters of its password "
                "percent-encoded, its port as a number, and its host as DNS knows it."
            )
        if parts.scheme not in schemes:
            starts = " or ".join(f"{scheme}://" for scheme in schemes)
            raise ConfigError(f"{place} must start with {starts}.")
        if schemes is _REDIS:
            _check_redis(parts, place)


def _split(url: str) -> SplitResult | None:
    """Return the parts of `url`, or None when it is not one, or where its password ends is open.

    It may name several hosts with commas between them, as libpq and Sentinel take them.
    """
    try:
        parts = urlsplit(url)
        for host in parts.netloc.rpartition("@")[2].split(","):
            one = urlsplit(f"//{host}")
            _ = one.port
            (one.hostname or "").encode("idna")
    except ValueError:
        return None
    astray = parts.netloc.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment
    return None if astray else parts


def _check_redis(parts: SplitResult, place: str) -> None:
    has_tls = parts.scheme.startswith("rediss")
    known = _REDIS_OPTIONS + (_TLS_OPTIONS if has_tls else ())
    if parts.scheme.endswith("+sentinel"):
        known += _SENTINEL_OPTIONS
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option, value in options.items():
        if option not in known:
            raise ConfigError(
                f"{place} has the option '{option}', which is not known."
                + did_you_mean(option, known)
            )
        if option in _REDIS_NUMBERS and not _NUMBER.fullmatch(value):
            raise ConfigError(f"{place} has the option '{option}', which must be a number.")
    path = "" if parts.scheme == "unix" else parts.path.removeprefix("/")
    if parts.scheme.endswith("+sentinel"):
        service, _, path = path.partition("/")
        if not service:
            raise ConfigError(
                f"{place} must name the service that Sentinel watches, as in "
                "redis+sentinel://host:26379/mymaster/0."
            )
    if not all(number.isdecimal() for number in (path or "0", options.get("db") or "0")):
        raise ConfigError(f"{place} must name its database by a number, as in redis://host:6379/0.")
    if options.get("protocol", "2") not in ("2", "3"):
        raise ConfigError(f"{place} must have 2 or 3 as its protocol.")


def _check_host(host: str, where: str) -> None:
    parts = _split(host)
    usable = parts and parts.scheme == "ssh" and parts.hostname and not re.search(r"\s", host)
    if host != LOCAL and not usable:
        raise ConfigError(
            f"{where}: host must be `{LOCAL}` or `ssh://user@host:port`, the port up to 65535."
        )


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IN_STATEMENTS = str.maketrans("", "", "\t\n\r")
_STATEMENTS = ("sql", "repair")


def _check_characters(value: Any, where: str, key: str = "") -> None:
    """Raise ConfigError on the first text that has control characters: no system takes them."""
    if isinstance(value, str):
        text = value.translate(_IN_STATEMENTS) if key in _STATEMENTS else value
        if _CONTROL.search(text):
            raise ConfigError(f"{where}: {key} contains invalid characters; leave them out.")
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_characters(item, where, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            _check_characters(item, where, key)


_VARIABLE = re.compile(r"\$\{([^{}]*)(\}?)")


def _expand(value: Any, where: str) -> Any:
    """Return `value` with each `${NAME}` in its strings replaced from the environment."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, where), value)
    if isinstance(value, dict):
        return {key: _expand(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, where) for item in value]
    return value


def _variable(match: re.Match[str], where: str) -> str:
    name, end = match.groups()
    if not end:
        raise ConfigError(f"{where} has a ${{ that is not closed; write it as ${{NAME}}.")
    if not name:
        raise ConfigError(f"{where} has a ${{}} without a name; write it as ${{NAME}}.")
    try:
        return os.environ[name]
    except KeyError:
        message = f"{where} uses ${{{name}}}, which is not set in the environment."
        near = did_you_mean(name, os.environ)
        raise ConfigError(message + (near if "Did you mean" in near else f" Set {name}.")) from None


def _password_parts(table: Mapping[str, Any], secrets: set[str]) -> frozenset[str]:
    """Return the values of the variables in the URLs of `table` that are parts of `secrets`.

    Only of these: a variable may as well be a host, which must stay readable.
    """
    tables = _unfolded(table)
    urls = [str(tables.get(system, {}).get(key, "")) for system, key in _URLS]
    values = {os.environ[name] for name, _ in _VARIABLE.findall(" ".join(urls))}
    return frozenset(value for value in values if any(value in secret for secret in secrets))


_T = TypeVar("_T", bound=Table)


# What a value must be, by pydantic's name for what it is not.
_MUST = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false, without quotes",
    "dict_type": "must be a table",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "missing": "must be set",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be named with letters from A to Z, digits, '.', '_' and "
    "single '-', a letter or digit first",
    "too_short": "must not be empty",
    "string_type": "must be a text in quotes",
    "tuple_type": 'must be a list, like ["/var/log/app.log"]',
    "value_error": "{error}",
}


def _validated(table: type[_T], values: dict[str, Any], where: str) -> _T:
    """Return `values` as a `table`. Raises ConfigError on the first thing that is wrong."""
    try:
        return table.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        # A mistyped key is why another is missing, so it is told first.
        first = next((each for each in wrong if each["type"] == "extra_forbidden"), wrong[0])
        path = tuple(part for part in first["loc"] if part not in ("[key]", _SYSTEMS))
        place = ".".join(map(str, path))
        if table is Target and len(path) > 1:
            place = ".".join([_written(values, *map(str, path[:2])), *map(str, path[2:])])
        if first["type"] == "extra_forbidden":
            known = _known_keys(table, path[:-1])
            raise ConfigError(
                f"{where} has the key '{place}', which is not known."
                + did_you_mean(str(path[-1]), known)
            ) from None
        must = _MUST.get(first["type"], "is not usable").format(**first.get("ctx", {}))
        raise ConfigError(f"{where}: {f'{place} {must}'.strip()}.") from None


def _known_keys(table: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table at `path` below `table` takes."""
    at: Any = table
    for part in path:
        if at is Target and (system := _settings_of(str(part))):
            at = system
        elif isinstance(part, str) and part in at.model_fields:
            inner = at.model_fields[part].annotation
            arguments = getattr(inner, "__args__", ())
            at = next((a for a in (inner, *arguments) if hasattr(a, "model_fields")), at)
    if at is Target:
        own = [key for key in at.model_fields if key not in ("name", _SYSTEMS)]
        return [*own, *(system.key for system in systems()), *shorthands()]
    return list(at.model_fields)


def _settings_of(key: str) -> type[Settings] | None:
    return next((system.settings for system in systems() if system.key == key), None)
