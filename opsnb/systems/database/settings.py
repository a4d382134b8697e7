"""PostgreSQL's table of `opsnb.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from opsnb.config.settings import Identifier, Multiline, Secret, Settings, Table, check_names
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
    """`[[targets.NAME.integrity]]`: which rows are inconsistent, and how to repair them."""

    name: Identifier = Field(description="The name of the check.")
    sql: Statement = Field(
        min_length=1,
        description="One statement that returns the rows that violate it, none if all are "
        "consistent. It runs in a read-only transaction.",
    )
    repair: Statement = Field(
        "",
        description="One statement that repairs them. The dry run shows its effect, and it is "
        "committed only if `sql` then returns nothing. Empty: you repair them by hand.",
    )
    queues: tuple[str, ...] = Field(
        (), description="Queues whose jobs write these rows: paused during the repair."
    )


class Database(Settings):
    """`[targets.NAME.database]`: PostgreSQL."""

    url: PostgresUrl = Field("", repr=False, description="Its URL, or libpq's `key=value` words.")
    direct_url: PostgresUrl = Field(
        "",
        repr=False,
        description="The same database without the pooler, for commands that need a session of "
        "their own.",
    )
    programs: str = Field(
        "", description="Folder of pg_dump and psql on this machine, if they are not on the PATH."
    )
    restart: tuple[str, ...] = Field(
        (),
        description="The command that starts PostgreSQL on the host, or restarts it if it hangs, "
        "as a list of words. Empty: you start it by hand.",
    )
    integrity: tuple[Integrity, ...] = Field((), description="Checks of the data.")

    @field_validator("integrity")
    @classmethod
    def _named_apart(cls, checks: tuple[Integrity, ...]) -> tuple[Integrity, ...]:
        check_names(checks, "integrity checks")
        return checks

    @classmethod
    def client_variables(cls, _written: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of libpq."""
        return (
            *("PGPASSFILE", "PGSERVICEFILE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"),
            *("PGSERVICE", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE"),
        )

    @property
    def conninfo(self) -> str:
        """The URL as libpq takes it: without parameters that only an ORM or a driver knows."""
        return usable(self.url).conninfo if self.url else ""

    @property
    def direct_conninfo(self) -> str:
        """The same without the pooler, if `direct_url` is configured."""
        return usable(self.direct_url).conninfo if self.direct_url else self.conninfo

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parameters of both URLs that only an ORM or a driver knows."""
        urls = filter(None, (self.url, self.direct_url))
        return tuple(dict.fromkeys(name for url in urls for name in usable(url).left_out))
