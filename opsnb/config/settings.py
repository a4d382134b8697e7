"""The tables of a target in `opsnb.toml`: how each of its systems is reached and what it has."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, field_validator

from opsnb.config.postgres_url import usable

Identifier = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*$")
]

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Table(BaseModel):
    """A table of `opsnb.toml`; a key that it does not know is refused."""

    # Built when first used: --help and a listing need none of them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Api(Table):
    """`[targets.NAME.api]`: the service's HTTP API."""

    url: str = Field("", description="Base URL. Empty: the service has no API.")
    health: str = Field("/health", description="Path of the health check. Empty: there is none.")
    queue_stats: str = Field(
        "/api/queue/stats",
        description="Path that reports the queues. Empty: the service has none.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description='Sent with each request, such as `{ Authorization = "Bearer ${API_TOKEN}" }`.',
    )
    ca: str = Field(
        "", description="File of the certificate authority that signs the API's certificate."
    )
    verify: StrictBool = Field(
        True, description="False: any certificate is taken; doctor warns of it."
    )

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"has '{name}', which is no name of a header")
            if not value.isascii():
                raise ValueError(f"must be plain ASCII; {name} is not")
            if value != value.strip() or not value:
                # As of "Bearer ${TOKEN}" with an empty TOKEN: no client sends it.
                raise ValueError(
                    "must neither be empty nor begin or end with a space; correct "
                    f"{name}, or set its variable"
                )
        return headers


# What Valkey's own clients call the schemes.
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
# Options that ioredis reads from a URL, and that say only how its own client behaves.
_OF_IOREDIS = frozenset(
    [
        "autoResubscribe",
        "commandTimeout",
        "connectTimeout",
        "connectionName",
        "enableAutoPipelining",
        "enableOfflineQueue",
        "enableReadyCheck",
        "family",
        "keepAlive",
        "lazyConnect",
        "maxRetriesPerRequest",
        "noDelay",
        "showFriendlyErrorStack",
    ]
)


def _of_redis(url: str) -> str:
    """Return a URL of Redis as redis-py takes it: its schemes, and no option of ioredis."""
    head, separator, rest = url.partition("://")
    scheme, plus, sentinel = head.partition("+")
    url = f"{_SCHEMES.get(scheme, scheme)}{plus}{sentinel}{separator}{rest}"
    base, mark, query = url.partition("?")
    kept = [part for part in query.split("&") if part.partition("=")[0] not in _OF_IOREDIS]
    return base + mark * any(kept) + "&".join(kept)


class Cache(Table):
    """`[targets.NAME.cache]`: Redis or Valkey as the cache."""

    url: str = Field("", repr=False, description="Its URL. Empty: the service has no cache.")
    patterns: tuple[str, ...] = Field(
        ("gemini:*", "project:*"), description="Globs of the keys that count as cache."
    )
    warm_up: str | tuple[str, ...] = Field(
        "/api/cache/warm",
        description="What warms the cache up: a path of the API, or a command on the host as a "
        "list of words. Empty: there is nothing.",
    )

    @field_validator("url")
    @classmethod
    def _of_any_client(cls, url: str) -> str:
        return _of_redis(url)


class Queues(Table):
    """`[targets.NAME.queues]`: the BullMQ queues."""

    url: str = Field(
        "", repr=False, description="Redis or Valkey of the queues. Empty: the cache's."
    )
    prefix: str = Field("bull", description="BullMQ's key prefix.")
    names: tuple[str, ...] = Field((), description="The queues. Empty: those found in Redis.")
    dashboard: str = Field("", description="URL of Bull Board, for links.")

    @field_validator("url")
    @classmethod
    def _of_any_client(cls, url: str) -> str:
        return _of_redis(url)


class Database(Table):
    """`[targets.NAME.database]`: PostgreSQL."""

    url: str = Field("", repr=False, description="Its URL, or libpq's `key=value` words.")
    direct_url: str = Field(
        "",
        repr=False,
        description="The same database past a pooler, for what needs a session of its own.",
    )
    programs: str = Field(
        "", description="Folder of pg_dump and psql on this machine, when not on the PATH."
    )

    @field_validator("url", "direct_url")
    @classmethod
    def _is_usable(cls, url: str) -> str:
        if url:
            usable(url)
        return url

    @property
    def conninfo(self) -> str:
        """What libpq takes of the URL: without what only an ORM or a driver knows."""
        return usable(self.url).conninfo if self.url else ""

    @property
    def direct_conninfo(self) -> str:
        """The same past a pooler, where that is configured."""
        return usable(self.direct_url).conninfo if self.direct_url else self.conninfo

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parameters of both URLs that only an ORM or a driver knows."""
        urls = filter(None, (self.url, self.direct_url))
        return tuple(dict.fromkeys(name for url in urls for name in usable(url).left_out))


class Processes(Table):
    """`[targets.NAME.processes]`: what keeps the service's processes running."""

    manager: Literal["pm2", "docker", "systemd"] = Field(
        "pm2", description="What runs the processes."
    )
    names: tuple[str, ...] = Field(
        (), description="Processes, containers or units that must be up. Empty: all that it lists."
    )
    command: str = Field(
        "",
        description="The manager's program on the host, when it is not on the PATH, or its words, "
        "such as `systemctl --user`.",
    )
    env: dict[str, str] = Field(
        default_factory=dict,
        description='Environment of the manager\'s program, such as `{ PM2_HOME = "/srv/.pm2" }`.',
    )


class Integrity(Table):
    """`[[targets.NAME.integrity]]`: which rows contradict one another, and how to fix them."""

    name: Identifier = Field(description="What it is called.")
    sql: str = Field(
        min_length=1,
        description="One statement that returns the rows that violate it; none when all is well. "
        "It runs in a read-only transaction.",
    )
    repair: str = Field(
        "",
        description="One statement that fixes them. It is shown first, and kept only if `sql` "
        "then returns nothing. Empty: you fix them by hand.",
    )
    queues: tuple[str, ...] = Field(
        (), description="Queues whose jobs write these rows: paused while they are fixed."
    )


class Restart(Table):
    """`[targets.NAME.restart]`: what starts the systems that the service stands on.

    Commands on the target's host, as lists of words. Each starts its system, afresh when it hangs,
    as `["systemctl", "restart", "redis"]` does.
    """

    redis: tuple[str, ...] = Field((), description="Starts Redis. Empty: it is started by hand.")
    postgres: tuple[str, ...] = Field(
        (), description="Starts PostgreSQL. Empty: it is started by hand."
    )


class Deploy(Table):
    """`[targets.NAME.deploy]`: how a release is brought onto the target's host.

    Commands run in `folder` on the host, as lists of words. `{release}` in one stands for the
    release that is gone back to. An empty one is a step that this service does not have.
    """

    folder: str = Field("", description="The service's working copy. Empty: nothing is deployed.")
    release: tuple[str, ...] = Field(
        ("git", "rev-parse", "--short", "HEAD"), description="Prints which release is there."
    )
    before: tuple[str, ...] = Field(
        ("git", "rev-parse", "--short", "ORIG_HEAD"),
        description="Prints the release before, for a rollback that finds no record of it.",
    )
    known: tuple[str, ...] = Field(
        ("git", "rev-parse", "--verify", "--quiet", "{release}^{commit}"),
        description="Fails when there is no such release. Empty: it is not asked.",
    )
    changes: tuple[str, ...] = Field(
        ("git", "status", "--porcelain", "--untracked-files=no"),
        description="Prints what was changed by hand in the folder, nothing when it is clean.",
    )
    tests: tuple[str, ...] = Field((), description="Runs the tests; the exit code tells.")
    pending: tuple[str, ...] = Field(
        (), description="Prints the migrations that are pending, a line each."
    )
    migrate: tuple[str, ...] = Field(
        ("npm", "run", "db:push"), description="Migrates the database."
    )
    migrate_after: Literal["pause", "build"] = Field(
        "pause",
        description="`pause`: before the code is fetched, as the handbook has it; `build`: by the "
        "migrations of the new release.",
    )
    fetch: tuple[str, ...] = Field(
        ("git", "pull", "--ff-only", "origin", "main"), description="Fetches the new release."
    )
    install: tuple[str, ...] = Field(("npm", "install"), description="Installs what it depends on.")
    build: tuple[str, ...] = Field(("npm", "run", "build"), description="Builds it.")
    restart: tuple[str, ...] = Field(
        ("pm2", "restart", "all"),
        description="Restarts it. Where it is not set: the service's processes, by their manager.",
    )
    smoke: tuple[str, ...] = Field(
        ("npm", "run", "test:smoke"), description="Asks the running service; the exit code tells."
    )
    go_back: tuple[str, ...] = Field(
        ("git", "checkout", "--quiet", "--detach", "{release}"),
        description="Brings the folder back to a release.",
    )
    migrate_down: tuple[str, ...] = Field(
        (), description="Takes the newest migration back, when a rollback is asked to."
    )
    paths: tuple[str, ...] = Field(
        ("/api/projects", "/api/analysis"),
        description="What users cannot do without: GET must answer 200.",
    )
    limit_s: float = Field(
        600.0, gt=0, le=7200, description="How long one command may take, in seconds."
    )


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Maintenance(Table):
    """`[targets.NAME.maintenance]`: when maintenance may change something.

    A target without this table may be maintained at any time.
    """

    days: tuple[Day, ...] = Field(
        ("sun",), min_length=1, description="On which days a window begins."
    )
    begins: time = Field(time(2), description="When it begins.")
    ends: time = Field(time(4), description="When it ends; earlier than `begins`: the next day.")
    timezone: str = Field("UTC", description="The zone of these times, such as `Europe/Berlin`.")

    @field_validator("begins", "ends")
    @classmethod
    def _in_the_zone(cls, at: time) -> time:
        if at.tzinfo is not None:
            raise ValueError(
                f"'{at.isoformat('auto' if at.second else 'minutes')}' has an offset; "
                "leave the offset out and set timezone"
            )
        return at

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                f"'{name}' is no time zone; name one such as Europe/Berlin or UTC"
            ) from error
        return name


class Limits(Table):
    """`[thresholds]` and `[targets.NAME.thresholds]`: limits in place of the handbook's."""

    warn: float | None = Field(None, description="Where the metric turns warn.")
    crit: float | None = Field(None, description="Where the metric turns crit.")
