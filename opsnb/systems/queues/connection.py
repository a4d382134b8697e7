"""BullMQ's own client on the target's Redis, driven by plain calls and bounded batches."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

import bullmq
import redis.exceptions

from opsnb.actions.action import Permit
from opsnb.actions.action import require as require_permit
from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, UsageError, did_you_mean
from opsnb.systems import cache
from opsnb.systems.queues import discovery
from opsnb.systems.queues.settings import Queues

T = TypeVar("T")

SYSTEM = "queues"


@dataclass(frozen=True)
class Keys:
    """A queue's name, and those of its keys."""

    name: str
    prefix: str

    def __getitem__(self, part: str) -> str:
        """Return the key of a part: a state, `meta`, or a job by its id."""
        return f"{self.prefix}:{self.name}:{part}"

    def toKey(self, part: str) -> str:  # noqa: N802 - as BullMQ's own queue has it
        """Return the key of a part."""
        return self[part]

    @property
    def keys(self) -> Keys:
        """The keys by their parts, as BullMQ's own queue has them."""
        return self


class Session:
    """One connection for the whole life of a check or an action.

    BullMQ's client is asynchronous, its callers are not, and the calling thread may hold
    Jupyter's own event loop: so there is a thread with a loop for it, stepped call by call.
    """

    def __init__(self, target: Target, server: cache.Server) -> None:
        self.target = target
        self.login = server.login
        self.client = cache.asynchronous(server)
        self.script_commands: tuple[str, ...] = ("EVAL_RO", "EVAL")
        """Those by which a script that only reads may still be run."""
        self.replication: dict[str, Any] | None = None
        """What INFO says of it, once it was asked."""
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
        options = {"connection": self.client, "prefix": Queues.of(self.target).prefix}
        return bullmq.Queue(name, options)

    def at(self, name: str) -> Keys:
        """Return the names of a queue's keys, for those who only read."""
        return Keys(name, Queues.of(self.target).prefix)

    def refusal(self, error: Exception) -> str:
        """Return what the server refused by `error`, and how to fix it."""
        return cache.refusal(self.login, error)

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
    with cache.reaching(target, SYSTEM) as server:
        session = Session(target, server)
        try:
            yield session
        finally:
            session.close()


@contextmanager
def writing(target: Target, permit: Permit) -> Iterator[Session]:
    """Yield a session for changes. Raises Refused without a valid permit."""
    require_permit(permit)
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
    """Return what tells this server's run from another's; nothing where INFO is refused."""
    try:
        return str((await session.client.info("server"))["run_id"])
    except (redis.exceptions.ResponseError, KeyError):
        return ""


async def is_replica(session: Session) -> bool:
    """Return whether this server follows another one; False where INFO is refused."""
    return (await _replication(session)).get("role") == "slave"


async def _replication(session: Session) -> dict[str, Any]:
    if session.replication is None:
        try:
            session.replication = dict(await session.client.info("replication"))
        except redis.exceptions.ResponseError:
            session.replication = {}
    return session.replication


async def _note_lag(session: Session) -> None:
    """Say that what a replica shows is of the past when it has lost its primary."""
    found = await _replication(session)
    if found.get("master_link_status") != "down":
        return
    seconds = int(found.get("master_link_down_since_seconds", -1))
    since = f"for {seconds} s" if seconds >= 0 else "since it was started"
    primary = f"{found.get('master_host')}:{found.get('master_port')}"
    evidence.partial(
        f"what the queues are now: this Redis is a replica that has lost its primary, {primary}, "
        f"{since}; name the primary as queues.url of target {session.target.name} in opsnb.toml"
    )


async def server_ms(session: Session) -> int:
    """Return the server's clock, in ms: the one that all clients share."""
    try:
        seconds, micros = await session.client.time()
    except redis.exceptions.ResponseError as error:
        evidence.without(f"the clock of Redis, which {session.refusal(error).rstrip('.')}")
        return int(time.time() * 1000)
    return int(seconds) * 1000 + int(micros) // 1000


async def names(session: Session) -> list[str]:
    """Return the target's queues: those of opsnb.toml, else those that are found."""
    await _note_lag(session)
    return list(Queues.of(session.target).names) or await discovery.find(session)


async def require(session: Session, queue: str) -> None:
    """Raise UsageError, with the nearest name, unless the target has `queue`."""
    target, keys = session.target, session.at(queue)
    await _note_lag(session)
    if queue in Queues.of(target).names or await session.client.exists(keys["meta"], keys["id"]):
        return
    try:
        known = await names(session)
    except BadAnswer as none:
        raise UsageError(f"There is no queue '{queue}'. {none}") from none
    raise UsageError(
        f"There is no queue '{queue}' on target {target.name}." + did_you_mean(queue, known)
    )
