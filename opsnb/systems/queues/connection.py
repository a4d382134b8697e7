"""BullMQ's own client on the target's Redis, driven by plain calls and bounded batches."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

import bullmq

from opsnb import guard
from opsnb.errors import BadAnswer, UsageError, did_you_mean
from opsnb.guard import Permit
from opsnb.systems import cache
from opsnb.target import Target

T = TypeVar("T")

SYSTEM = "queues"

_MOST_QUEUES = 200
_MOST_SCANS = 2000  # of 1,000 keys each
_GLOB = str.maketrans({char: f"\\{char}" for char in "*?[]\\"})


class Session:
    """One connection for the whole life of a check or an action.

    BullMQ's client is asynchronous, its callers are not, and the calling thread may hold
    Jupyter's own event loop: so there is a thread with a loop for it, stepped call by call.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.client = cache.asynchronous(cache.server_of(target, SYSTEM))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queues")
        self._runner = asyncio.Runner()
        self._interrupted = False

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Return what `step` returns.

        Ctrl-C waits for the step under way, so that what it did is counted, and is raised by the
        next one; a second Ctrl-C does not wait.
        """
        if self._interrupted:
            step.close()
            raise KeyboardInterrupt
        # In the caller's context, so that what a step cannot see is told to the check that asks.
        under_way = self._thread.submit(self._runner.run, step, context=copy_context())
        try:
            return under_way.result()
        except KeyboardInterrupt:
            self._interrupted = True
            return under_way.result()

    def queue(self, name: str) -> Any:
        """Return BullMQ's own queue object on this connection."""
        options = {"connection": self.client, "prefix": self.target.queues.prefix}
        return bullmq.Queue(name, options)

    def close(self) -> None:
        """End the connection and its thread; raises a KeyboardInterrupt that is still to come."""
        try:
            self._thread.submit(self._runner.run, self.client.aclose()).result()
        finally:
            self._thread.submit(self._runner.close).result()
            self._thread.shutdown()
        if self._interrupted:
            raise KeyboardInterrupt


@contextmanager
def reading(target: Target) -> Iterator[Session]:
    """Yield a session that is used for looking only; errors come out as ServiceErrors."""
    with cache.errors(target, SYSTEM):
        session = Session(target)
        try:
            yield session
        finally:
            session.close()


@contextmanager
def writing(target: Target, permit: Permit) -> Iterator[Session]:
    """Yield a session for changes. Raises Refused without a valid permit."""
    guard.require(permit)
    with reading(target) as session:
        yield session


class Pace:
    """How much to ask of the server at a time, so that nothing else waits long for it.

    The quickest of the last few batches tells what the server needs for one: the others waited
    for something else, at its end or at ours. A server that is slow all the same gets a rest.
    """

    GOAL_S = 0.005
    _REST_S = 0.5

    def __init__(self, most: int = 1000) -> None:
        self._most, self._least = most, most // 20
        self._each: deque[float] = deque(maxlen=4)  # the last batches' seconds for one
        self.size = most // 2
        self._clock = time.perf_counter()

    def start(self) -> int:
        """Return the size of the batch that begins now."""
        self._clock = time.perf_counter()
        return self.size

    def end(self) -> None:
        """Learn from the batch that ends now."""
        self._each.append((time.perf_counter() - self._clock) / self.size)
        needs = min(self._each)
        if needs * self._least > self.GOAL_S:
            time.sleep(min(needs * self._least, self._REST_S))
        self.size = max(self._least, min(self._most, int(self.GOAL_S / needs)))


async def identity(session: Session) -> str:
    """Return what tells this server's run from another's."""
    return str((await session.client.info("server"))["run_id"])


async def server_ms(session: Session) -> int:
    """Return the server's clock, in ms: the one that all clients share."""
    seconds, micros = await session.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def names(session: Session) -> list[str]:
    """Return the target's queues: those of opsnb.toml, else those that are found."""
    return list(session.target.queues.names) or await _discover(session)


async def require(session: Session, queue: str) -> None:
    """Raise UsageError, with the nearest name, unless the target has `queue`."""
    target = session.target
    base = f"{target.queues.prefix}:{queue}:"
    if queue in target.queues.names or await session.client.exists(base + "meta", base + "id"):
        return
    try:
        known = await names(session)
    except BadAnswer as none:
        raise UsageError(f"There is no queue '{queue}'. {none}") from none
    raise UsageError(
        f"There is no queue '{queue}' on target {target.name}." + did_you_mean(queue, known)
    )


async def _discover(session: Session) -> list[str]:
    """Return the names of the queues that have a `meta` key in Redis, by a bounded scan."""
    prefix = session.target.queues.prefix
    head, tail = f"{prefix}:", ":meta"
    found: set[str] = set()
    cursor: int = 0
    for _ in range(_MOST_SCANS):
        cursor, keys = await session.client.scan(
            cursor, match=f"{prefix.translate(_GLOB)}:*{tail}", count=1000, _type="hash"
        )
        found.update(key[len(head) : -len(tail)] for key in keys)
        if not cursor or len(found) >= _MOST_QUEUES:
            break
    # A job whose custom id ends so would look like a queue with a colon, which BullMQ forbids.
    queues = sorted(name for name in found if ":" not in name)
    if not queues:
        raise BadAnswer(
            SYSTEM,
            f"There is no BullMQ queue under the prefix '{prefix}'; "
            f"set queues or queue_prefix of target {session.target.name} in opsnb.toml.",
        )
    return queues
