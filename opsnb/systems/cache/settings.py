"""The cache's table of `opsnb.toml`."""

from __future__ import annotations

from pydantic import Field

from opsnb.config.settings import Settings
from opsnb.systems.cache.redis_url import RedisUrl


class Cache(Settings):
    """`[targets.NAME.cache]`: Redis or Valkey as the cache."""

    url: RedisUrl = Field("", repr=False, description="Its URL. Empty: the service has no cache.")
    restart: tuple[str, ...] = Field(
        (),
        description="Starts Redis, afresh when it hangs: a command on the host as a list of "
        "words. Empty: you start it by hand.",
    )
    patterns: tuple[str, ...] = Field(
        ("gemini:*", "project:*"), description="Globs of the keys that count as cache."
    )
    warm_up: str | tuple[str, ...] = Field(
        "/api/cache/warm",
        description="What warms the cache up: a path of the API, or a command on the host as a "
        "list of words. Empty: there is nothing.",
    )
