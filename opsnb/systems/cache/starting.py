"""Redis as what a service depends on: whether it is up, and how it is started."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from opsnb.config.target import Target
from opsnb.systems.cache.checks import ping
from opsnb.systems.cache.redis_url import DEFAULT_PORT
from opsnb.systems.cache.settings import Cache
from opsnb.systems.dependencies import Dependency, Place, ask
from opsnb.systems.queues.settings import Queues


def dependency(target: Target) -> Dependency | None:
    """Return how Redis is; None when the target does not name it.

    Where the queues have a Redis of their own, that one is asked too; how it is started is not
    configured.
    """
    cache, queues = Cache.of(target), Queues.of(target)
    found = _asked(target, cache.restart) if cache.url or not queues.url else None
    if queues.url in ("", cache.url) or (found and found.state != "up"):
        return found
    other = _asked(target.changed(redis_url=queues.url), ())
    return found if found and other and other.state == "up" else other


def _asked(target: Target, command: Sequence[str]) -> Dependency | None:
    return ask(target, "cache", ping, command, _places(Cache.of(target).url))


def _places(url: str) -> list[Place]:
    """Return where Redis listens; none when Sentinel knows that."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return [parts.path]
    if parts.scheme in ("redis", "rediss"):
        return [(parts.hostname or "localhost", parts.port or DEFAULT_PORT)]
    return []
