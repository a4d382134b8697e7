"""PostgreSQL's table of `opsnb.toml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from opsnb.config.settings import (
    Identifier,
    Multiline,
    Secret,
    Settings,
    Table,
    check_names,
)
from opsnb.config.urls import check_length
from opsnb.systems.database.postgres_url import usable


def _checked(url: str) -> str:
    if url:
        check_length(url)
        usable(url)
    return url


PostgresUrl = Annotated[str, AfterValidator(_checked), Secret.URL]
Statement = Annotated[str, Multiline.TEXT]


class Integrity(Table):
    """`[[targets.NAME.integrity]]`: which rows contradict one another, and how to fix them."""

    name: Identifier = Field(description="What it is called.")
    sql: Statement = Field(
        min_length=1,
        description="One statement that returns the rows that violate it; none in healthy data. "
        "It runs in a read-only transaction.",
    )
    repair: Statement = Field(
        "",
        description="One statement that fixes them. It is shown first, and kept only if `sql` "
        "then returns nothing. Empty: you fix them by hand.",
    )
    queues: tuple[str, ...] = Field(
        (), description="Queues whose jobs write these rows: paused while they are fixed."
    )


class Database(Settings):
    """`[targets.NAME.database]`: PostgreSQL."""

    url: PostgresUrl = Field("", repr=False, description="Its URL, or libpq's `key=value` words.")
    direct_url: PostgresUrl = Field(
        "",
        repr=False,
        description="The same database past a pooler, for what needs a session of its own.",
    )
    programs: str = Field(
        "", description="Folder of pg_dump and psql on this machine, when not on the PATH."
    )
    restart: tuple[str, ...] = Field(
        (),
        description="Starts PostgreSQL, afresh when it hangs: a command on the host as a list of "
        "words. Empty: you start it by hand.",
    )
    integrity: tuple[Integrity, ...] = Field((), description="Checks of its data.")

    @field_validator("integrity")
    @classmethod
    def _named_apart(cls, checks: tuple[Integrity, ...]) -> tuple[Integrity, ...]:
        check_names(checks, "integrity checks")
        return checks

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
