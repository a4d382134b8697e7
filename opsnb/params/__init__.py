"""The types of runbook parameters.

The annotations of a notebook's parameters cell are its schema: they are checked before a kernel
starts, shown by `opsnb show` and printed on the site. In the notebook itself they are plain
Python types, so that an editor knows `queue` as a `str` and `hours` as a `float`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from opsnb.config.sources import make_own_importable
from opsnb.params.spans import Span

# Notebooks import this first, so that they can import modules next to them after it.
make_own_importable()


def _iso(kind: type[date], name: str) -> BeforeValidator:
    """Convert a date or time, as text or as TOML has it, to ISO text."""

    def convert(value: Any) -> Any:
        try:
            return (kind.fromisoformat(value) if isinstance(value, str) else value).isoformat()
        except ValueError:
            raise ValueError(f"there is no such {name}") from None

    return BeforeValidator(lambda value: convert(value) if type(value) in (kind, str) else value)


TargetName = Annotated[str, Field(title="target", description="a target of opsnb.toml")]
"""A target in `opsnb.toml`; empty if there is only one."""

QueueName = Annotated[str, Field(title="queue", description="a BullMQ queue")]
"""A BullMQ queue; empty for the target's only one."""

Hours = Annotated[
    float,
    Span("h"),
    Field(gt=0, le=24 * 366, title="hours", description="hours, or with a unit: 30m, 24h, 2d"),
]
"""A time span in hours; `30m`, `24h` and `2d` are understood."""

Samples = Annotated[
    int, Field(ge=1, le=1000, title="count", description="how many measurements, 1 to 1000")
]
"""How many measurements to take."""

Apply = Annotated[
    bool, Field(title="apply", description="false shows the plan and changes nothing")
]
"""False shows the plan and changes nothing."""

Confirm = Annotated[
    str, Field(title="confirm", description="the name of a protected target, typed out")
]
"""The target's name, typed to change a protected target."""

Count = Annotated[
    int, Field(ge=0, le=10**9, title="count", description="a whole number, 0 to a billion")
]
"""A number of things."""

Seconds = Annotated[
    float,
    Span("s"),
    Field(gt=0, le=3600, title="seconds", description="seconds up to an hour, or 90s, 5m"),
]
"""A short time."""

Minutes = Annotated[
    float,
    Span("m"),
    Field(gt=0, le=7 * 24 * 60, title="minutes", description="minutes up to a week, or 90s, 2h"),
]
"""A time span in minutes."""

Age = Annotated[
    float,
    Span("h"),
    Field(ge=0, le=24 * 366, title="hours", description="hours, or 30m, 24h, 2d; 0 for any age"),
]
"""An age in hours that selects things; 0 selects all."""

Words = Annotated[str, Field(title="text", description="a text; empty for any")]
"""A text that selects things; empty selects all."""

Via = Annotated[Literal["redis", "api"], Field(title="redis or api", description="redis or api")]
"""The way a queue is changed: in Redis, or by the service's API."""

FinishedState = Annotated[
    Literal["failed", "completed"],
    Field(title="failed or completed", description="failed or completed"),
]
"""The state of a job that has run."""

Pattern = Annotated[
    str,
    Field(
        title="pattern",
        description="a glob of Redis keys, such as page:*; empty for what counts as cache",
    ),
]
"""Which keys, as a glob of Redis; empty for the patterns of the target's cache."""

KeyName = Annotated[
    str, Field(title="key", description="a key of the cache, spelled out; empty for none")
]
"""One key of the cache."""

RedisDatabase = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    StringConstraints(pattern=r"^[0-9]{0,5}$"),
    Field(title="database number", description="a number, or empty for the one of redis_url"),
]
"""A numbered database of Redis; empty for the one that redis_url names."""

ClearScope = Annotated[
    Literal["pattern", "database", "all"],
    Field(title="pattern, database or all", description="pattern, database or all"),
]
"""How much of the cache is cleared."""

WarmVia = Annotated[
    Literal["api", "direct"], Field(title="api or direct", description="api or direct")
]
"""The way the cache is warmed up: by the service's API, or from the database."""

QueueKeys = Annotated[
    bool,
    Field(title="queue keys", description="true clears the keys of the target's queues as well"),
]
"""Whether the keys of the target's own queues may be cleared."""

Concurrency = Annotated[
    Annotated[int, Field(ge=1, le=10_000)] | Literal["keep", "none"],
    Field(title="count", description="a number of jobs, none for no limit, keep to leave it"),
]
"""How many jobs of a queue may be active at once."""

Some = Annotated[
    int, Field(ge=1, le=10_000, title="count", description="a whole number, 1 to 10000")
]
"""A bounded number of things."""

Window = Annotated[
    float,
    Span("s"),
    Field(gt=0, le=60, title="seconds", description="seconds up to a minute, or 500ms, 10s"),
]
"""How long to watch."""

Milliseconds = Annotated[
    float,
    Span("ms"),
    Field(
        gt=0,
        le=3_600_000,
        title="milliseconds",
        description="milliseconds up to an hour, or 500ms, 2s",
    ),
]
"""A very short time."""

RelationName = Annotated[str, Field(title="name", description="a name, or schema.name")]
"""A table, an index or a database; the runbook says what empty means."""

ReindexKind = Annotated[
    Literal["index", "table", "database"],
    Field(title="index, table or database", description="index, table or database"),
]
"""How much to rebuild."""

BackupWhat = Annotated[
    Literal["full", "schema"], Field(title="full or schema", description="full or schema")
]
"""What a backup holds."""

BackupFormat = Annotated[
    Literal["custom", "plain"], Field(title="custom or plain", description="custom or plain")
]
"""pg_dump's format: custom for pg_restore, plain for psql."""

Folder = Annotated[
    str,
    StringConstraints(min_length=1),
    Field(
        title="folder", description="a folder; a relative path starts at the folder of opsnb.toml"
    ),
]
"""A folder on the machine that runs the runbook."""

Duration = Annotated[
    float,
    Span("s"),
    Field(gt=0, le=366 * 86_400, title="duration", description="seconds, or 90s, 30m, 1h30m, 2d"),
]
"""A time span in seconds, up to a year; `90s`, `30m`, `1h30m` and `2d` are understood."""

Date = Annotated[
    str, _iso(date, "day"), Field(title="date", description="a date, such as 2026-11-23")
]
"""A day, as its ISO text."""

Moment = Annotated[
    str,
    _iso(datetime, "time"),
    Field(title="time", description="a date and time, such as 2026-11-23T07:15+00:00"),
]
"""A time, as its ISO text."""
