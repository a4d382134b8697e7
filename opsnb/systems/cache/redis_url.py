"""URLs of Redis and Valkey as services have them, made into what redis-py takes."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator

from opsnb.config.settings import Secret
from opsnb.config.urls import checked
from opsnb.errors import did_you_mean

DEFAULT_PORT = 6379

# What Valkey's own clients call the schemes.
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
# Options that ioredis reads from a URL, and that say only how its own client behaves.
_OF_IOREDIS = frozenset(
    (
        *("autoResubscribe", "commandTimeout", "connectTimeout", "connectionName"),
        *("enableAutoPipelining", "enableOfflineQueue", "enableReadyCheck", "family"),
        *("keepAlive", "lazyConnect", "maxRetriesPerRequest"),
        *("noDelay", "showFriendlyErrorStack"),
    )
)

_SCHEMES_TAKEN = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
# What redis-py reads from a URL. Its time limits are opsnb's own, whatever the URL says of them.
_OPTIONS = (
    *("client_name", "db", "health_check_interval", "max_connections", "protocol"),
    *("retry_on_timeout", "socket_connect_timeout", "socket_keepalive", "socket_timeout"),
)
_NUMBERS = (
    "health_check_interval",
    "max_connections",
    "socket_connect_timeout",
    "socket_timeout",
)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_TLS_OPTIONS = (
    *("ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile"),
    *("ssl_check_hostname", "ssl_ciphers", "ssl_keyfile", "ssl_password"),
)
_SENTINEL_OPTIONS = ("sentinel_password", "sentinel_username")  # where they are not Redis' own


def usable(url: str) -> str:
    """Return a URL of Redis as redis-py takes it: its schemes, and no option of ioredis.

    Raises ValueError, the end of a sentence that quotes no secret.
    """
    if not url:
        return ""
    head, separator, rest = url.partition("://")
    scheme, plus, sentinel = head.partition("+")
    url = f"{_SCHEMES.get(scheme, scheme)}{plus}{sentinel}{separator}{rest}"
    base, mark, query = url.partition("?")
    kept = [part for part in query.split("&") if part.partition("=")[0] not in _OF_IOREDIS]
    url = base + mark * any(kept) + "&".join(kept)
    _check(checked(url, _SCHEMES_TAKEN))
    return url


def _check(parts: SplitResult) -> None:
    known = _OPTIONS + (_TLS_OPTIONS if parts.scheme.startswith("rediss") else ())
    is_sentinel = parts.scheme.endswith("+sentinel")
    if is_sentinel:
        known += _SENTINEL_OPTIONS
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option, value in options.items():
        if option not in known:
            near = did_you_mean(option, known)
            raise ValueError(f"has the option '{option}', which is not known.{near}")
        if option in _NUMBERS and not _NUMBER.fullmatch(value):
            raise ValueError(f"has the option '{option}', which must be a number")
    path = "" if parts.scheme == "unix" else parts.path.removeprefix("/")
    if is_sentinel:
        service, _, path = path.partition("/")
        if not service:
            raise ValueError(
                "must name the service that Sentinel watches, as in "
                "redis+sentinel://host:26379/mymaster/0"
            )
    if not all(number.isdecimal() for number in (path or "0", options.get("db") or "0")):
        raise ValueError("must name its database by a number, as in redis://host:6379/0")
    if options.get("protocol", "2") not in ("2", "3"):
        raise ValueError("must have 2 or 3 as its protocol")


def is_same_server(one: str, other: str) -> bool:
    """Whether both URLs lead to one Redis and one login there."""
    return _server(one) == _server(other)


def _server(url: str) -> tuple[str, ...]:
    """Return what distinguishes one Redis and login from another, whatever the database."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return (parts.netloc, parts.path)
    if parts.scheme.endswith("+sentinel"):
        return (parts.scheme, parts.netloc, parts.path.strip("/").partition("/")[0])
    login, _, _ = parts.netloc.rpartition("@")
    return (parts.scheme, login, parts.hostname or "localhost", str(parts.port or DEFAULT_PORT))


RedisUrl = Annotated[str, AfterValidator(usable), Secret.URL]
"""A URL of Redis or Valkey, or empty."""
