"""Which queues Redis has, where opsnb.toml does not name them.

The hash `PREFIX:NAME:meta` shows a queue. Its name may hold colons, blanks or stars. A job whose
custom id ends in `:meta` has a hash of such a name too, so the fields of the hash decide.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import redis.exceptions

from opsnb.checks import evidence
from opsnb.errors import BadAnswer

if TYPE_CHECKING:
    from opsnb.systems.queues.connection import Session

_SYSTEM = "queues"
_MOST_QUEUES = 1000
_MOST_SCANS = 4000  # of 1,000 keys each
_MOST_S = 5.0
_PAGE = 200
_GLOB = str.maketrans({char: f"\\{char}" for char in "*?[]\\"})
_MARKS = ("version", "opts.maxLenEvents", "data", "timestamp")
_PARTS = ("wait", "active", "completed", "failed", "delayed", "events")

Found = tuple[list[str], list[str]]
"""The names, and the gaps in the search."""

_lock = threading.Lock()
_under_way: dict[tuple[str, str], Future[Found]] = {}


async def find(session: Session) -> list[str]:
    """Return the queues under the target's prefix, by a bounded search; at least one.

    Checks that run at the same time share one search, because it passes over all keys.
    """
    place = (session.settings.url, session.settings.prefix)
    with _lock:
        shared = _under_way.get(place)
        if shared is None:
            mine = _under_way[place] = Future[Found]()
    if shared is not None:
        queues, gaps = await asyncio.wrap_future(shared)
    else:
        queues, gaps = await _searched(session, place, mine)
    for gap in gaps:
        evidence.partial(gap)
    if not queues:
        raise BadAnswer(
            _SYSTEM,
            f"There is no BullMQ queue under the prefix '{session.settings.prefix}'; "
            f"set queues or queue_prefix of target {session.target_name} in opsnb.toml.",
        )
    return queues


async def _searched(session: Session, place: tuple[str, str], result: Future[Found]) -> Found:
    try:
        found = await _search(session)
    except BaseException as error:
        # An interrupted search settles nothing for the others.
        known = isinstance(error, Exception)
        result.set_exception(error if known else BadAnswer(_SYSTEM, "The search was interrupted."))
        raise
    else:
        result.set_result(found)
        return found
    finally:
        with _lock:
            _under_way.pop(place, None)


async def _search(session: Session) -> Found:
    metas, gaps = await _scan(session, ":meta", "hash")
    queues = await _confirmed(session, metas)
    if not queues:  # an early BullMQ wrote no meta
        counters, _ = await _scan(session, ":id", "string")
        queues = await _alive(session, counters)
    if len(queues) > _MOST_QUEUES:
        gaps.append(f"{len(queues) - _MOST_QUEUES} more queues; {_name_them(session)}")
        queues = queues[:_MOST_QUEUES]
    if await _is_cluster_node(session):
        gaps.append("queues on other nodes of the Redis Cluster: opsnb read one node")
    return queues, gaps


async def _scan(session: Session, tail: str, kind: str) -> tuple[list[str], list[str]]:
    """Return what keys have between the prefix and `tail`, and the gaps in the search."""
    prefix = session.settings.prefix
    head, options = f"{prefix}:", {"_type": kind}
    found: set[str] = set()
    cursor, ends = 0, time.monotonic() + _MOST_S
    scans = 0
    while scans < _MOST_SCANS and time.monotonic() < ends:
        try:
            cursor, keys = await session.client.scan(
                cursor, match=f"{prefix.translate(_GLOB)}:*{tail}", count=1000, **options
            )
        except redis.exceptions.ResponseError as error:
            if options and "syntax" in str(error).lower():
                options = {}  # Redis 5 cannot filter by type
                continue
            raise BadAnswer(
                _SYSTEM,
                f"opsnb cannot find the queues: Redis {session.refusal(error).rstrip('.')}. Or "
                f'name them: queues = ["emails"] of target {session.target_name} in opsnb.toml.',
            ) from error
        scans += 1
        found.update(key[len(head) : -len(tail)] for key in keys)
        if not cursor:
            return sorted(found - {""}), []
    seen = f"{1000 * scans:,}"
    gap = f"queues beyond the first {seen} keys of Redis; {_name_them(session)}"
    return sorted(found - {""}), [gap]


def _name_them(session: Session) -> str:
    return f"name those that matter in opsnb.toml: queues of target {session.target_name}"


async def _confirmed(session: Session, names: list[str]) -> list[str]:
    """Return those of `names` whose `meta` is a queue's, not a job's hash."""
    queues, doubtful = [], []
    for start in range(0, len(names), _PAGE):
        page = names[start : start + _PAGE]
        async with session.client.pipeline(transaction=False) as pipe:
            for name in page:
                pipe.hmget(session.queue(name)["meta"], _MARKS)
            replies = await pipe.execute(raise_on_error=False)
        for name, marks in zip(page, replies, strict=True):
            if isinstance(marks, Exception):
                queues.append(name)  # reading its counts reports the refusal
                continue
            version, events, data, added = marks
            if (version or "").startswith("bullmq") or events is not None:
                queues.append(name)
            elif data is None and added is None:
                doubtful.append(name)
    return sorted({*queues, *await _alive(session, doubtful)})


async def _alive(session: Session, names: list[str]) -> list[str]:
    """Return those of `names` that have other keys of a queue."""
    alive: list[str] = []
    for start in range(0, len(names), _PAGE):
        page = names[start : start + _PAGE]
        async with session.client.pipeline(transaction=False) as pipe:
            for name in page:
                for part in _PARTS:
                    pipe.exists(session.queue(name)[part])
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        each = len(_PARTS)
        for place, name in enumerate(page):
            some = answers[place * each : (place + 1) * each]
            if any(not isinstance(answer, Exception) and answer for answer in some):
                alive.append(name)
    return alive


async def _is_cluster_node(session: Session) -> bool:
    try:
        return bool((await session.client.info("cluster")).get("cluster_enabled"))
    except redis.exceptions.ResponseError:
        return False
