"""The queues' table of `opsnb.toml`."""

from __future__ import annotations

from pydantic import Field, field_validator

from opsnb.config.settings import Settings
from opsnb.systems.cache.redis_url import usable


class Queues(Settings):
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
        return usable(url)
