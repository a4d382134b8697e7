"""The Redis servers of a target: the cache's, and the queues' where that is another one."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from redis import connection as redis_connection

from opsnb.config.target import Target
from opsnb.errors import Misconfigured, NotConfigured, Unreachable
from opsnb.redaction import safe_url
from opsnb.systems.cache.settings import Cache
from opsnb.systems.cache.wire import PARSERS, Client, NotRedis, introduce
from opsnb.systems.queues.settings import Queues, shares_redis

SYSTEM = "redis"
QUEUES = "queues"
"""The queues' server as a system; it may be the cache's."""

_SENTINEL_PORT = 26379
_SENTINEL_S = 1.0  # one that is down must leave time for the next
_SERVICE = "mymaster"
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_LOGIN = ("username", "password")
_OURS = ("client_name", "max_connections")  # our own, whatever the service's URL says


@dataclass(frozen=True)
class Server:
    """A Redis server of a target, and how messages name it."""

    target: str
    url: str = field(repr=False)
    setting: str
    """The key of `opsnb.toml` that names it."""
    title: str
    system: str
    """Its name in findings: failures of one system have one cause."""
    time_limit_s: float
    _masters: list[str] = field(default_factory=list, repr=False, compare=False)
    """The addresses that Sentinel has named."""

    @property
    def where(self) -> str:
        """How a message names it: without its password, with the address that Sentinel named."""
        place = f"{self.title} at {safe_url(self.url)}"
        return f"{place}, at {self._masters[-1]} as Sentinel says," if self._masters else place

    @property
    def login(self) -> str:
        """The ACL user, for advice."""
        return unquote(_split(self.url).username or "") or "default"

    def options(self) -> dict[str, Any]:
        """Return what redis-py needs to connect, with its own client or the asynchronous one.

        A Sentinel is asked for the master here. Raises Unreachable, Misconfigured and
        NotConfigured.
        """
        if not self.url:
            raise NotConfigured(
                self.system, f"Target {self.target} names no {self.setting} in opsnb.toml."
            )
        try:
            options = self._sentinel() if "+sentinel:" in self.url else _parsed(self.url)
        except (ValueError, TypeError) as error:
            raise Misconfigured(
                self.system, f"{self.setting} of target {self.target} cannot be used: {error}."
            ) from error
        self._demand_files(options)
        options.setdefault("protocol", 2)  # any server knows it, with or without HELLO
        return {
            **{key: value for key, value in options.items() if key not in _OURS},
            "socket_timeout": self.time_limit_s,
            "socket_connect_timeout": self.time_limit_s,
            "encoding_errors": "replace",
            "driver_info": None,
            "retry": None,
        }

    def _demand_files(self, options: dict[str, Any]) -> None:
        """Raise Misconfigured when the URL names a file that does not exist or cannot be used."""
        for key in _FILES:
            path = options.get(key)
            if path and not Path(path).exists():
                raise Misconfigured(
                    self.system,
                    f"{self.setting} of target {self.target} names {path} as {key}, which does "
                    "not exist.",
                )
        try:
            _load(options)
        except (OSError, ValueError) as error:  # errors of ssl are OSErrors
            reason = getattr(error, "reason", None) or str(error)
            named = " and ".join(key for key in _FILES if options.get(key))
            raise Misconfigured(
                self.system,
                f"{self.setting} of target {self.target} names files that cannot be used as "
                f"{named}: {reason}.",
            ) from error

    def _sentinel(self) -> dict[str, Any]:
        """Return the options for the master that Sentinel names."""
        parts = _split(self.url)
        scheme = "rediss" if parts.scheme.startswith("rediss") else "redis"
        service, _, db = parts.path.strip("/").partition("/")
        service = unquote(service) or _SERVICE
        login, _, places = parts.netloc.rpartition("@")
        own, of_sentinel = _queries(parts)
        head = f"{scheme}://{login}@" if login else f"{scheme}://"
        options = _parsed(f"{head}localhost/{db}?{own}")
        secure = {key: value for key, value in options.items() if key.startswith("ssl_")}
        asking = {**secure, **of_sentinel}
        if scheme == "rediss":
            asking["connection_class"] = redis.SSLConnection
        host, port = self._master(list(_places(places)), service, asking, options)
        self._masters.append(f"{host}:{port}")
        return {**options, "host": host, "port": port}

    def _master(
        self,
        places: list[tuple[str, int]],
        service: str,
        asking: dict[str, Any],
        login: dict[str, Any],
    ) -> tuple[str, int]:
        """Return the address of the master of `service`, from the first Sentinel that responds."""
        # Sentinel may take the login of Redis, one of its own, or none.
        same: dict[str, Any] = {key: login[key] for key in _LOGIN if key in login}
        failures, refused = [], False
        unknowing: Misconfigured | None = None
        for host, port in places:
            options: dict[str, Any] = {"protocol": 2, "host": host, "port": port}
            logins: tuple[dict[str, Any], ...] = (asking, {**same, **asking})
            for tried in logins:
                try:
                    return self._asked({**options, **tried}, service)
                except Misconfigured as error:
                    # A Sentinel that was just added or reset knows nothing yet; the next may.
                    unknowing = unknowing or error
                    failure = str(error)
                    break
                except redis.AuthenticationError as error:
                    failure, refused = f"{host}:{port} refuses the login: {error}", True
                except (redis.RedisError, OSError) as error:
                    failure = f"{host}:{port}: {error}"
                    break
            failures.append(failure.rstrip("."))
        if unknowing:
            raise unknowing
        why = "; ".join(failures)
        if refused:
            raise Misconfigured(
                self.system,
                f"Sentinel {why}. Add ?sentinel_password=... to {self.setting}.",
            )
        raise Unreachable(self.system, f"No Sentinel of {self.setting} responds ({why}).")

    def _asked(self, options: dict[str, Any], service: str) -> tuple[str, int]:
        limit_s = min(_SENTINEL_S, self.time_limit_s)
        pool = redis.ConnectionPool(
            **options,
            parser_class=PARSERS[2],
            socket_timeout=limit_s,
            socket_connect_timeout=limit_s,
            redis_connect_func=introduce,
            decode_responses=True,
            driver_info=None,
            retry=None,
        )
        place = f"{options['host']}:{options['port']}"
        with Client.from_pool(pool) as client:
            asking: Any = client
            try:
                answer = asking.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", service)
            except redis.exceptions.NoPermissionError:
                raise
            except redis.ResponseError as error:
                raise Misconfigured(
                    self.system,
                    f"{self.setting}: {place} is no Sentinel ({str(error).rstrip('.')}); name "
                    "the Sentinels, or write redis:// for Redis itself.",
                ) from error
            if not answer:
                raise Misconfigured(
                    self.system,
                    f"{self.setting}: Sentinel at {place} knows no master named '{service}'"
                    f"{_known(asking)}.",
                )
        try:
            host, port = answer
            return str(host), int(port)
        except (TypeError, ValueError):
            raise NotRedis("something that is no address") from None


def _load(options: dict[str, Any]) -> None:
    """Load the certificates and keys as a connection does. Raises OSError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authorities, folder = options.get("ssl_ca_certs"), options.get("ssl_ca_path")
    if authorities or folder:
        context.load_verify_locations(authorities, folder)
    if own := options.get("ssl_certfile"):
        # Without a password OpenSSL would ask for it at the terminal.
        password = options.get("ssl_password") or ""
        context.load_cert_chain(own, options.get("ssl_keyfile"), password)


def _known(client: Any) -> str:
    """Return the names of the masters that a Sentinel knows, as the end of a sentence."""
    try:
        masters = client.execute_command("SENTINEL MASTERS")
        names = list(map(str, masters))
    except (redis.RedisError, TypeError):
        return ""
    return f"; it knows {', '.join(names)}" if names else "; it knows none"


def _parsed(url: str) -> dict[str, Any]:
    """Return the options that redis-py reads from a URL. Raises ValueError."""
    parse: Any = redis_connection.parse_url
    return dict(parse(url))


def _split(url: str) -> SplitResult:
    return urlsplit(url)


def _places(netloc: str) -> Iterable[tuple[str, int]]:
    """Yield host and port of each Sentinel."""
    for place in filter(None, netloc.split(",")):
        parts = urlsplit(f"//{place}")
        yield parts.hostname or "localhost", parts.port or _SENTINEL_PORT


def _queries(parts: SplitResult) -> tuple[str, dict[str, Any]]:
    """Return the query for Redis itself, and the options for Sentinel alone."""
    head = "sentinel_"
    ours = [part for part in parts.query.split("&") if part and not part.startswith(head)]
    pairs = parse_qsl(parts.query)
    theirs = {key.removeprefix(head): value for key, value in pairs if key.startswith(head)}
    return "&".join(ours), dict(theirs)


def server_of(target: Target, system: str = SYSTEM) -> Server:
    """Return the server of a system: the cache's or, as `queues`, that of the queues."""
    url, setting, title = Cache.of(target).url, "redis_url", "Redis"
    if system == QUEUES:
        url = Queues.of(target).url
        if url != Cache.of(target).url:
            setting = "queues.url"
        if not shares_redis(target):
            title = "Redis of the queues"
    return Server(target.name, url, setting, title, system, target.time_limit_s)
