"""Connections to Redis or Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
import redis.asyncio

from opsnb.actions.action import Permit, require
from opsnb.config.target import Target
from opsnb.systems.cache.refusals import reaching
from opsnb.systems.cache.server import SYSTEM, Server
from opsnb.systems.cache.wire import ASYNC_PARSERS, PARSERS, Client, introduce, introduce_async


class Connection(Client):
    """An open connection to one database of a server; helpers get it instead of the target."""

    server: Server
    _options: dict[str, Any]
    _others: tuple[Connection, ...] = ()

    @classmethod
    def to(cls, server: Server, options: dict[str, Any]) -> Connection:
        """Return a connection to `server` , with redis-py's `options`; it connects late."""
        pool = redis.ConnectionPool(
            **options,
            parser_class=PARSERS[options["protocol"]],
            redis_connect_func=introduce,
        )
        client: Any = cls.from_pool(pool)
        client.server, client._options = server, options
        return cast(Connection, client)

    @property
    def login(self) -> str:
        """The ACL user, for advice."""
        return self.server.login

    @property
    def db(self) -> int:
        """The number of its database."""
        return int(self._options.get("db") or 0)

    def raw(self, db: int | None = None) -> Connection:
        """Return another connection, with keys and values as bytes; it closes with this one.

        A key need not be text, and only its own bytes name it. `db` is the number of another
        database of the same server.
        """
        chosen = {} if db is None else {"db": db}
        other = Connection.to(self.server, {**self._options, **chosen, "decode_responses": False})
        self._others += (other,)
        return other

    def close(self) -> None:
        """Close it and those that were opened from it."""
        for other in self._others:
            other.close()
        super().close()


@contextmanager
def connection(target: Target, *, system: str = SYSTEM) -> Iterator[Connection]:
    """Yield a connection to the target's Redis; the driver's errors come out as ServiceErrors.

    It is for reading; use `writing` for changes. `system` says whose Redis: the cache's, or
    `queues`.
    """
    with (
        reaching(target, system) as server,
        Connection.to(server, {**server.options(), "decode_responses": True}) as client,
    ):
        yield client


@contextmanager
def writing(target: Target, permit: Permit) -> Iterator[Connection]:
    """Yield a connection that may change the target's Redis. Raises Refused without a permit."""
    require(permit)
    with connection(target) as client:
        yield client


def asynchronous(server: Server) -> Any:
    """Return redis-py's asynchronous client for `server`, not connected yet.

    Use it inside `reaching`. Raises ServiceError.
    """
    options = server.options()
    if (own := options.get("connection_class")) is not None:
        options["connection_class"] = _ASYNC[own]
    pool: Any = redis.asyncio.ConnectionPool(
        **options,
        parser_class=ASYNC_PARSERS[options["protocol"]],
        redis_connect_func=introduce_async,
        decode_responses=True,
    )
    return redis.asyncio.Redis.from_pool(pool)


_ASYNC: dict[Any, Any] = {
    redis.SSLConnection: redis.asyncio.SSLConnection,
    redis.UnixDomainSocketConnection: redis.asyncio.UnixDomainSocketConnection,
}


def execute(pipeline: Any) -> list[Any]:
    """Return the replies of a pipeline. Raises the first error, without quoting any value."""
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
