"""URLs of Redis and Valkey as services have them, made into what redis-py takes."""

from __future__ import annotations

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


def usable(url: str) -> str:
    """Return a URL of Redis as redis-py takes it: its schemes, and no option of ioredis."""
    head, separator, rest = url.partition("://")
    scheme, plus, sentinel = head.partition("+")
    url = f"{_SCHEMES.get(scheme, scheme)}{plus}{sentinel}{separator}{rest}"
    base, mark, query = url.partition("?")
    kept = [part for part in query.split("&") if part.partition("=")[0] not in _OF_IOREDIS]
    return base + mark * any(kept) + "&".join(kept)
