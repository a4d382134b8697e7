"""Keys: bounded scans, the facts of a key, and the family that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import NoPermissionError

from opsnb.config.target import Target
from opsnb.model import Row
from opsnb.redaction import MASK, outside
from opsnb.systems.cache.connecting import execute
from opsnb.systems.cache.settings import Cache
from opsnb.systems.queues.settings import Queues
from opsnb.view.formats import span

SCAN_COUNT = 1000
"""How many keys one SCAN reads: about half a millisecond of the server's time."""

_DESCRIBED_AT_ONCE = 200

_IDS = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|(?<![0-9a-z])(?=[a-f]*[0-9])[0-9a-f]{8,}(?![0-9a-z])"  # a digest
    # A token: long, with capitals, small letters and digits. It may be a secret.
    r"|(?-i:(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[\w-]{20,}=*)"
    r"|[0-9]+",
    re.IGNORECASE,
)


def family(key: str) -> str:
    """Return `key` with its ids replaced by `*`, such as `gemini:analysis:scene:*`.

    Ids are numbers, UUIDs, hexadecimal digests and random tokens, and so is a secret. The family
    serves as a glob pattern.
    """
    return _IDS.sub("*", outside.text(key).replace(MASK, "*"))


def text(key: bytes) -> str:
    """Return a key for people to read."""
    return key.decode(errors="replace")


def queue_prefix(target: Target) -> str:
    """Return what every key of the target's BullMQ queues begins with, also of unnamed queues."""
    return f"{Queues.of(target).prefix}:"


def chosen_patterns(target: Target) -> tuple[str, ...]:
    """Return the globs of the cache's keys where `opsnb.toml` sets them, else none."""
    patterns = Cache.of(target).patterns
    return () if patterns == Cache().patterns else patterns


def matching(pattern: bytes) -> re.Pattern[bytes]:
    """Return the expression that matches what the server's glob `pattern` matches."""
    found, at = b"", 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        at += 1
        if char == b"*":
            found += b".*"
        elif char == b"?":
            found += b"."
        elif char == b"\\" and at < len(pattern):
            found += re.escape(pattern[at : at + 1])
            at += 1
        elif char == b"[":
            inside, at = _class_of(pattern, at)
            found += inside
        else:
            found += re.escape(char)
    return re.compile(found + rb"\Z", re.DOTALL)


def _class_of(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Return the expression for the set of characters from `at` on, and where it ends."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    parts = []
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
            parts.append(re.escape(pattern[at : at + 1]))
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((pattern[at : at + 1], pattern[at + 2 : at + 3]))
            parts.append(re.escape(low) + b"-" + re.escape(high))
            at += 2
        else:
            parts.append(re.escape(pattern[at : at + 1]))
        at += 1
    if not parts:
        return (b"." if negated else b"(?!)"), at + 1
    return b"[" + b"^" * negated + b"".join(parts) + b"]", at + 1


def scan(
    client: redis.Redis, pattern: bytes | None = None, count: int = SCAN_COUNT
) -> Iterator[list[bytes]]:
    """Yield the keys that match in batches; the server serves other clients between two calls.

    A batch stands for `count` keys, and may be empty.
    """
    cursor = 0
    while True:
        found: Any = client.scan(cursor, match=pattern, count=count)
        cursor, keys = found
        yield keys
        if not cursor:
            return


@dataclass(frozen=True)
class KeyFacts:
    """The facts of a key, without its value."""

    name: str
    type: str
    ttl_s: float | None
    """Seconds to live; None when it never expires."""
    bytes: int | None
    """None where MEMORY USAGE is not permitted."""

    def row(self) -> Row:
        """Return this as a line of evidence."""
        return {
            "key": self.name,
            "type": self.type,
            "ttl": lifetime(self.ttl_s),
            "bytes": self.bytes,
        }


def describe(
    client: redis.Redis, keys: Sequence[bytes], *, hidden: list[bytes] | None = None
) -> list[KeyFacts]:
    """Return the facts of `keys`, without those that are gone by now.

    Keys that the login may not read are added to `hidden`; without such a list they are an error.
    """
    found = []
    for start in range(0, len(keys), _DESCRIBED_AT_ONCE):
        some = keys[start : start + _DESCRIBED_AT_ONCE]
        types, ttls = client.pipeline(transaction=False), client.pipeline(transaction=False)
        sizes = client.pipeline(transaction=False)
        for key in some:
            types.type(key)
            ttls.pttl(key)
            sizes.memory_usage(key)
        asked = (types, ttls, sizes)
        replies = zip(some, *(each.execute(raise_on_error=False) for each in asked), strict=True)
        for key, kind, ttl_ms, size in replies:
            if hidden is not None and _is_hidden(kind):
                hidden.append(key)
                continue
            _demand(kind, ttl_ms)
            if ttl_ms != _GONE:
                ttl_s = None if ttl_ms < 0 else ttl_ms / 1000
                bytes_ = size if isinstance(size, int) else None
                kind_ = kind if isinstance(kind, str) else kind.decode()
                found.append(KeyFacts(text(key), kind_, ttl_s, bytes_))
    return found


def _is_hidden(reply: object) -> bool:
    """Return whether the login may run the command, but not on this key."""
    return isinstance(reply, NoPermissionError) and "command" not in str(reply)


def _demand(*replies: object) -> None:
    """Raise the first error among `replies`."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def to_live_s(client: redis.Redis, keys: Sequence[bytes]) -> list[float]:
    """Return the times to live of `keys` in seconds; negative where there is none, or no key."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.pttl(key)
    return [left / 1000 for left in execute(pipeline)] if keys else []


_GONE = -2  # the answer of PTTL for a missing key


def lifetime(seconds: float | None) -> str:
    """Return a time to live: `15 min`, `never expires`."""
    return "never expires" if seconds is None else span(seconds)
