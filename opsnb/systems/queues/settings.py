"""The queues' table of `opsnb.toml`."""

from __future__ import annotations

from pydantic import Field

from opsnb.config.settings import Configured, Settings
from opsnb.config.urls import HttpUrl
from opsnb.systems.cache.redis_url import RedisUrl, is_same_server
from opsnb.systems.cache.settings import Cache


class Queues(Settings):
    """`[targets.NAME.queues]`: the BullMQ queues."""

    url: RedisUrl = Field(
        "", repr=False, description="Redis or Valkey of the queues. Empty: the cache's."
    )
    prefix: str = Field("bull", description="BullMQ's key prefix.")
    names: tuple[str, ...] = Field((), description="The queues. Empty: those found in Redis.")
    dashboard: HttpUrl = Field("", description="URL of Bull Board, for links.")


def cause(target: Configured) -> str:
    """Return the server that is down when the queues are: the cache's when they share one."""
    return "redis" if shares_redis(target) else "queues"


def shares_redis(target: Configured) -> bool:
    """Whether the queues live on the cache's server, asked by the same login."""
    return is_same_server(Cache.of(target).url, Queues.of(target).url)
