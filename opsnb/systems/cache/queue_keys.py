"""Keys of queues, which are not cache, of any library and any owner.

Its bookkeeping shows a queue: for BullMQ the hash `PREFIX:NAME:meta`, for other libraries keys that
all their queues have. The search reads all keys, because a prefix may be anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis

from opsnb.systems.cache.keyspace import SCAN_COUNT, scan
from opsnb.systems.cache.queue_libraries import BINDING, MARKS, PARTS, SURE

_AT_ONCE = 500
_MOST_QUEUES = 2000  # beyond that all keys of their prefixes stay
_LONGEST_VERSION = 200


_FORBIDDEN = b"forbidden"  # the type of a key that this login may not read


@dataclass(frozen=True)
class FoundQueues:
    """The queues that a database holds."""

    names: frozenset[bytes] = frozenset()
    """The prefix of each queue's keys, with its colon: `bull:mail:`."""
    heads: tuple[bytes, ...] = ()
    """Other prefixes of queues' keys."""
    exact: frozenset[bytes] = frozenset()
    """Whole keys of queues."""
    complete: bool = True
    """False when the search stopped early."""
    looked_at: int = 0

    def owner(self, key: bytes) -> bytes | None:
        """Return what marks a key as a queue's; None when it belongs to no queue."""
        if key in self.exact:
            return key
        for head in self.heads:
            if key.startswith(head):
                return head
        at = key.find(b":")
        while at >= 0:
            if key[: at + 1] in self.names:
                return key[: at + 1]
            at = key.find(b":", at + 1)
        return None

    def without(self, prefixes: Iterable[str]) -> FoundQueues:
        """Return these without the queues under some prefixes."""
        gone = tuple(f"{prefix.rstrip(':')}:".encode() for prefix in prefixes)
        kept = [name for name in self.names if not name.startswith(gone)]
        heads = [head for head in self.heads if not head.startswith(gone)]
        return replace(self, names=frozenset(kept), heads=tuple(heads)) if gone else self

    def arguments(self) -> list[bytes | int]:
        """Return these as arguments of unlink.lua: three lists, each with its length first."""
        found: list[bytes | int] = []
        for kind in (sorted(self.names), self.heads, sorted(self.exact)):
            found += [len(kind), *kind]
        return found


def prefix_of(owner: bytes) -> str:
    """Return the name to show for an owner: the prefix of a BullMQ queue, without its name."""
    whole = owner.rstrip(b":")
    return (whole.rpartition(b":")[0] or whole).decode(errors="replace")


def find_queues(client: redis.Redis, ends: float) -> FoundQueues:
    """Search all keys for the bookkeeping of queues, until the monotonic time `ends`."""
    parts: dict[bytes, set[bytes]] = {}
    marks: set[bytes] = set()
    complete, looked_at = True, 0
    for batch in candidates(client):
        for key in batch:
            base, _, last = key.rpartition(b":")
            if base and last in PARTS:
                parts.setdefault(base, set()).add(last)
            if any(mark.pattern.match(key) for mark in MARKS):
                marks.add(key)
        looked_at += SCAN_COUNT
        if time.monotonic() > ends:
            complete = False
            break
    names = frozenset(base + b":" for base in _confirmed(client, parts))
    heads, exact = _marked(client, sorted(marks))
    exact |= set(_read_in_groups(client))
    if len(names) > _MOST_QUEUES:
        names = frozenset(name[: name.index(b":") + 1] for name in names)
    return FoundQueues(names, heads, exact, complete, looked_at)


_CANDIDATES = Path(__file__).with_name("candidates.lua").read_text("utf-8")


def candidates(client: redis.Redis) -> Iterator[list[bytes]]:
    """Yield the keys that may mark a queue, for each `SCAN_COUNT` keys read."""
    cursor = b"0"
    while True:
        try:
            answer: Any = client.eval(_CANDIDATES, 0, cursor, SCAN_COUNT, *PARTS)
        except redis.ResponseError:
            if cursor != b"0":
                raise
            yield from scan(client)  # where EVAL is not permitted
            return
        cursor, keys = answer
        yield keys
        if cursor == b"0":
            return


def _read_in_groups(client: redis.Redis) -> Iterator[bytes]:
    """Yield the streams that consumer groups read: they are queues, whatever their names."""
    asking: Any = client
    streams: list[bytes] = []
    cursor: Any = 0
    while True:
        try:
            cursor, some = asking.scan(cursor, count=SCAN_COUNT, _type="stream")
        except redis.ResponseError:  # before Redis 6, SCAN knows no types
            return
        streams += some
        if not int(cursor):
            break
    for start in range(0, len(streams), _AT_ONCE):
        some = streams[start : start + _AT_ONCE]
        pipeline = client.pipeline(transaction=False)
        for key in some:
            pipeline.xinfo_groups(key)
        replies = pipeline.execute(raise_on_error=False)
        # A stream that cannot be read stays too.
        yield from (key for key, groups in zip(some, replies, strict=True) if groups)


def _confirmed(client: redis.Redis, parts: dict[bytes, set[bytes]]) -> Iterator[bytes]:
    """Yield the bases that are queues: by BullMQ's own fields, or by several parts of theirs."""
    asked = [(base, last) for base, lasts in parts.items() for last in sorted(lasts)]
    kinds = _types(client, [base + b":" + last for base, last in asked])
    fitting: dict[bytes, set[bytes]] = {}
    for (base, last), kind in zip(asked, kinds, strict=True):
        if kind in (*PARTS[last], _FORBIDDEN):
            fitting.setdefault(base, set()).add(last)
    metas = [base for base, lasts in fitting.items() if b"meta" in lasts]
    own = set(_of_bullmq(client, metas))
    for base, lasts in fitting.items():
        if base in own or (len(lasts) > 1 and not lasts.isdisjoint(SURE)):
            yield base


def _of_bullmq(client: redis.Redis, bases: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the bases whose `meta` has fields that BullMQ writes, or may not be read."""
    asking: Any = client  # redis-py's types know no key of bytes here
    for start in range(0, len(bases), _AT_ONCE):
        some = bases[start : start + _AT_ONCE]
        pipeline = client.pipeline(transaction=False)
        for base in some:
            # A value may be of any length, so first how long it is.
            pipeline.hstrlen(base + b":meta", "version")
            pipeline.hexists(base + b":meta", "opts.maxLenEvents")
        replies = _permitted(pipeline)
        for base, version, is_old in zip(some, replies[::2], replies[1::2], strict=True):
            if _FORBIDDEN in (version, is_old) or is_old:
                yield base
            elif 0 < version <= _LONGEST_VERSION:
                found: Any = asking.hget(base + b":meta", "version")
                if isinstance(found, bytes) and found.startswith(b"bullmq"):
                    yield base


def _marked(
    client: redis.Redis, keys: Sequence[bytes]
) -> tuple[tuple[bytes, ...], frozenset[bytes]]:
    """Return what begins the keys of those libraries whose marks are there, and whole keys."""
    heads, exact = dict[bytes, None](), set[bytes]()
    for key, kind in zip(keys, _types(client, keys), strict=True):
        for mark in MARKS:
            match = mark.pattern.match(key)
            if not match or kind != mark.kind:
                continue
            space = match[1]
            if mark.beside and not client.exists(*(space + other for other in mark.beside)):
                continue
            heads.update((space + head, None) for head in mark.heads)
            exact.update(space + other for other in mark.exact)
            if key.startswith(BINDING):
                name = key.removeprefix(BINDING)
                exact.add(name)
                heads[name + b"\x06"] = None  # with priorities
    return tuple(heads), frozenset(exact)


def _types(client: redis.Redis, keys: Sequence[bytes]) -> list[bytes]:
    """Return the type of each key."""
    found: list[bytes] = []
    for start in range(0, len(keys), _AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for key in keys[start : start + _AT_ONCE]:
            pipeline.type(key)
        found += _permitted(pipeline)
    return found


def _permitted(pipeline: Any) -> list[Any]:
    """Return the replies of a pipeline; `_FORBIDDEN` for a key that this login may not read.

    Raises when the login may not run the command at all.
    """
    replies = pipeline.execute(raise_on_error=False)
    for at, reply in enumerate(replies):
        if isinstance(reply, redis.exceptions.NoPermissionError) and "command" not in str(reply):
            replies[at] = _FORBIDDEN
        elif isinstance(reply, Exception):
            raise reply
    return list(replies)
