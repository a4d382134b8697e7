"""What the tables of `opsnb.toml` have in common, and the tables of no system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import time
from enum import Enum
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from opsnb.redaction import environment_secrets, header_secrets, value_secrets

Identifier = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*$")
]


class Table(BaseModel):
    """A table of `opsnb.toml`; a key that it does not know is refused."""

    # Built when first used: --help and a listing need none of them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Secret(Enum):
    """How a setting may hold a secret, beside its type: `Annotated[str, Secret.URL]`."""

    URL = "url"
    """Its password, and what a query names as secret."""
    HEADERS = "headers"
    ENVIRONMENT = "environment"
    VALUE = "value"
    """All of it."""


class Multiline(Enum):
    """Beside the type of a setting that may have line breaks: a statement."""

    TEXT = "text"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def check_names(named: Iterable[_Named], what: str) -> None:
    """Raise ValueError, the end of a sentence, when two of `named` have the same name."""
    seen: set[str] = set()
    for item in named:
        if item.name in seen:
            raise ValueError(f"has two {what} named '{item.name}'; give each a name of its own")
        seen.add(item.name)


class Settings(Table):
    """A system's table of a target: how the system is reached and what it has."""

    @classmethod
    def of(cls, target: Configured) -> Self:
        """Return these settings of `target`."""
        return target.settings(cls)

    @classmethod
    def client_variables(cls, _written: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the variables that clients of the system read from the environment.

        `_written` is the target's table as it stands in `opsnb.toml`, without shorthands.
        """
        return ()

    def secrets(self) -> set[str]:
        """Return what is secret in these settings."""
        found: set[str] = set()
        for key, how in self.secret_keys().items():
            value = getattr(self, key)
            if how is Secret.URL:
                found |= value_secrets(value)
            elif how is Secret.HEADERS:
                found.update(*(header_secrets(name, text) for name, text in value.items()))
            elif how is Secret.ENVIRONMENT:
                found |= environment_secrets(value)
            elif value:
                found.add(value)
        return found

    @classmethod
    def secret_keys(cls) -> dict[str, Secret]:
        """Return the keys that may hold a secret, and how."""
        return {
            key: mark
            for key, field in cls.model_fields.items()
            for mark in field.metadata
            if isinstance(mark, Secret)
        }

    @classmethod
    def inner_tables(cls) -> list[type[Table]]:
        """Return the tables that this one has a list of."""
        kinds = (kind for field in cls.model_fields.values() for kind in get_args(field.annotation))
        return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Table)]


S = TypeVar("S", bound=Settings)


class Configured(Protocol):
    """What has the settings of every system: a target."""

    def settings(self, kind: type[S]) -> S:
        """Return the settings of one system, by their type."""


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
