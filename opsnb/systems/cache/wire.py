"""Reading a server's answers: only Redis' protocol, and only up to a limit.

A broken server, or something else at a wrong address, may announce a gigabyte, and redis-py reads
all of it. Here an answer is refused as soon as it announces too much.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis._parsers import _AsyncRESP2Parser, _AsyncRESP3Parser, _RESP2Parser, _RESP3Parser
from redis._parsers.socket import SocketBuffer

MOST_BYTES = 32 * 1024 * 1024
"""The largest answer that is read: a page of SCAN or the slow log may have many megabytes."""

_MOST_PARTS = 1_000_000
_DEEPEST = 32
_GROUPS = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}
"""What announces a group, and how many parts each of its elements has."""
_NUMBERED = (*_GROUPS, b"$", b"=", b"!", b":", b"(")
_KNOWN = (*_NUMBERED, b"+", b"-", b"_", b",", b"#")


class TooLarge(redis.RedisError):
    """The answer is larger than the limit."""


class NotRedis(redis.RedisError):
    """Something answers, but it is not Redis."""


class _Bounds:
    """How much of one answer may still be read."""

    def __init__(self) -> None:
        self._depth = 0
        self._bytes, self._parts = MOST_BYTES, _MOST_PARTS

    def enter(self) -> None:
        """Begin an answer or a part of it. Raises TooLarge when it is nested too deep."""
        if not self._depth:
            self._bytes, self._parts = MOST_BYTES, _MOST_PARTS
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TooLarge(f"an answer nested more than {_DEEPEST} levels deep")

    def leave(self) -> None:
        """End the part."""
        self._depth -= 1

    def take(self, size: int) -> None:
        """Count `size` bytes that are about to be read. Raises TooLarge."""
        self._bytes -= max(0, size)
        if self._bytes < 0:
            raise TooLarge(f"an answer of more than {MOST_BYTES // 1024**2} MiB")

    def line(self, line: bytes) -> None:
        """Check the first line of a part. Raises TooLarge, NotRedis."""
        kind = line[:1]
        if kind not in _KNOWN:
            raise NotRedis("something that is not Redis' protocol")
        if kind not in _NUMBERED:
            return
        try:
            number = int(line[1:])
        except ValueError:
            raise NotRedis("something that is not Redis' protocol") from None
        self._parts -= _GROUPS.get(kind, 0) * max(0, number)
        if self._parts < 0:
            raise TooLarge(f"an answer of more than {_MOST_PARTS:,} parts")


class _Buffer(SocketBuffer):
    """redis-py's buffer of a connection, with bounds for each answer."""

    def __init__(self, parser: Any, bounds: _Bounds, timeout: float) -> None:
        super().__init__(parser._sock, parser.socket_read_size, timeout)
        self._bounds = bounds

    def read(self, length: int, *args: Any, **options: Any) -> bytes:
        self._bounds.take(length)
        return super().read(length, *args, **options)

    def readline(self, *args: Any, **options: Any) -> bytes:
        line = bytearray(self._buffer.readline())
        while not line.endswith(b"\r\n"):
            if len(line) > MOST_BYTES:
                self._bounds.take(len(line))
            self._read_from_socket(None, *args, **options)
            line += self._buffer.readline()
        found = bytes(line[:-2])
        self._bounds.take(len(found))
        self._bounds.line(found)
        return found


class _Bounded:
    """The limits for a parser of redis-py."""

    _buffer: Any

    def on_connect(self, connection: Any) -> None:
        parser: Any = super()
        parser.on_connect(connection)
        self._bounds = _Bounds()
        self._buffer = _Buffer(self, self._bounds, connection.socket_timeout)

    def _read_response(self, *args: Any, **options: Any) -> Any:
        parser: Any = super()
        try:
            self._bounds.enter()
            return parser._read_response(*args, **options)
        finally:
            self._bounds.leave()


class _AsyncBounded:
    """The limits for a parser of redis-py's asynchronous client."""

    def on_connect(self, connection: Any) -> None:
        parser: Any = super()
        parser.on_connect(connection)
        self._bounds = _Bounds()

    async def _read_response(self, *args: Any, **options: Any) -> Any:
        parser: Any = super()
        try:
            self._bounds.enter()
            return await parser._read_response(*args, **options)
        finally:
            self._bounds.leave()

    async def _read(self, length: int) -> bytes:
        parser: Any = super()
        self._bounds.take(length)
        found: bytes = await parser._read(length)
        return found

    async def _readline(self) -> bytes:
        parser: Any = super()
        try:
            line: bytes = await parser._readline()
        except ValueError:  # from the stream, which limits a line itself
            raise TooLarge("a line that is too long") from None
        self._bounds.line(line)
        return line


class _Parser2(_Bounded, _RESP2Parser):
    pass


class _Parser3(_Bounded, _RESP3Parser):
    pass


class _AsyncParser2(_AsyncBounded, _AsyncRESP2Parser):
    pass


class _AsyncParser3(_AsyncBounded, _AsyncRESP3Parser):
    pass


PARSERS: dict[int, type[Any]] = {2: _Parser2, 3: _Parser3}
ASYNC_PARSERS: dict[int, type[Any]] = {2: _AsyncParser2, 3: _AsyncParser3}
"""Parsers by version of the protocol."""


class Client(redis.Redis):
    """redis-py's client; it reports an answer that does not fit its command."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """Return the answer to a command. Raises NotRedis when it cannot be one."""
        redis_py: Any = super()
        try:
            return redis_py.parse_response(connection, command_name, **options)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise NotRedis(f"something that is no answer to {command_name}") from error


class Stranger(redis.RedisError):
    """The address does not lead to a working Redis."""


def introduce(connection: Any) -> None:
    """Log in, check that this is Redis, and set the client's name. Raises Stranger."""
    with _greeting():
        connection.on_connect()
        connection.send_command("PING", check_health=False)
        with _refusal():
            _demand_pong(connection.read_response())
        connection.send_command(*_OUR_NAME, check_health=False)
        with suppress(redis.ResponseError):  # a limited user, or a server without CLIENT
            connection.read_response()


async def introduce_async(connection: Any) -> None:
    """Do the same on a connection of the asynchronous client."""
    with _greeting():
        await connection.on_connect()
        await connection.send_command("PING", check_health=False)
        with _refusal():
            _demand_pong(await connection.read_response())
        await connection.send_command(*_OUR_NAME, check_health=False)
        with suppress(redis.ResponseError):
            await connection.read_response()


@contextmanager
def _greeting() -> Iterator[None]:
    try:
        yield
    except TooLarge as error:
        raise Stranger(f"gave {error}, which is not read; check what runs there") from error
    except NotRedis as error:
        raise Stranger(f"is no Redis: it gave {error}; check the address and the port") from error


@contextmanager
def _refusal() -> Iterator[None]:
    """Accept a refusal of PING as an answer: only Redis refuses like that.

    Except in protected mode, in which Redis closes the connection.
    """
    try:
        yield
    except redis.ResponseError as error:
        if str(error).startswith(DENIED):
            raise


DENIED = "DENIED"
"""The answer of Redis' protected mode to other machines."""

_OUR_NAME = ("CLIENT", "SETNAME", "opsnb")


def _demand_pong(answer: Any) -> None:
    if answer not in ("PONG", b"PONG"):
        raise NotRedis("something other than PONG to PING")
