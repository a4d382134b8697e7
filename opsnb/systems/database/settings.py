"""PostgreSQL's table of `opsnb.toml`."""

from __future__ import annotations

from pydantic import Field, field_validator

from opsnb.config.settings import Identifier, Settings, Table
from opsnb.systems.database.postgres_url import usable


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


class Database(Settings):
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

    integrity: tuple[Integrity, ...] = Field((), description="Checks of its data.")

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
