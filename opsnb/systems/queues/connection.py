"""BullMQ's own client on the target's Redis, driven by plain calls and bounded batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
from opsnb.machine import interrupts
from opsnb.systems import cache
from opsnb.systems.queues import discovery
from opsnb.systems.queues.settings import Queues
from opsnb.view.formats import span

T = TypeVar("T")

SYSTEM = "queues"


@dataclass(frozen=True)
class Queue:
    """A queue on an open session. Helpers get it instead of the target and a name."""

    session: Session
    name: str

    def __getitem__(self, part: str) -> str:
        """Return the key of a part: a state, `meta`, or a job by its id."""
        return f"{self.session.settings.prefix}:{self.name}:{part}"

    @property
    def client(self) -> Any:
        """The asynchronous client of the session."""
        return self.session.client

    @property
    def bullmq(self) -> Any:
        """BullMQ's own object for this queue."""
        options = {"connection": self.client, "prefix": self.session.settings.prefix}
        return bullmq.Queue(self.name, options)

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Return what `step` returns, as `Session.run` does."""
        return self.session.run(step)


class Session:
    """One connection for a check, or for one phase of an action.

    BullMQ's client is asynchronous and its callers are not. The calling thread may run Jupyter's
    event loop, so the session has a thread with a loop of its own, and runs it call by call.
    """

    def __init__(self, target: Target, server: cache.Server) -> None:
        self.target_name = target.name
        self.settings = Queues.of(target)
        self.overdue_s = target.limit("queue_overdue_seconds")
        """A worker moves a delayed job within seconds of its time."""
        self.login = server.login
        self.client = cache.asynchronous(server)
        self.script_commands: tuple[str, ...] = ("EVAL_RO", "EVAL")
        """The commands that may still run a script that only reads."""
        self.replication: dict[str, Any] | None = None
        """The section of INFO, once it is read."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queues")
        self._runner = asyncio.Runner()
        self._interrupted = False

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Return what `step` returns.

        Ctrl-C waits for the step under way, so that its work is counted; the next step raises it.
        A second Ctrl-C does not wait.
        """
        if self._interrupted:
            step.close()
            raise KeyboardInterrupt
        under_way: Future[T] | None = None
        try:
            with interrupts.deferred():  # within it, the pool would lose the step or its thread
                under_way = self._begin(step)
            return under_way.result()
        except KeyboardInterrupt:
            self._interrupted = True
            if under_way is None:
                step.close()
                raise
            return under_way.result()

    def _begin(self, step: Coroutine[Any, Any, T]) -> Future[T]:
        # In the caller's context, so that gaps in the evidence reach the check that asks.
        return self._thread.submit(self._runner.run, step, context=copy_context())

    def queue(self, name: str) -> Queue:
        """Return the queue of that name, whether it exists or not."""
        return Queue(self, name)

    def refusal(self, error: Exception) -> str:
        """Return what the server refused, and how to fix it."""
        return cache.refusal(self.login, error)

    def close(self) -> None:
        """End the connection and its thread. Raises a KeyboardInterrupt that is still pending."""
        with interrupts.deferred():
            try:
                self._begin(self.client.aclose()).result()
            finally:
                self._thread.submit(self._runner.close).result()
                self._thread.shutdown()
        if self._interrupted:
            raise KeyboardInterrupt


@contextmanager
def reading(target: Target) -> Iterator[Session]:
    """Yield a session for reading; the driver's errors come out as ServiceErrors."""
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


async def identity(session: Session) -> str:
    """Return the id of the server's run; nothing where INFO is refused."""
    try:
        return str((await session.client.info("server"))["run_id"])
    except (redis.exceptions.ResponseError, KeyError):
        return ""


async def is_replica(session: Session) -> bool:
    """Return whether this server is a replica; False where INFO is refused."""
    return (await _replication(session)).get("role") == "slave"


async def _replication(session: Session) -> dict[str, Any]:
    if session.replication is None:
        try:
            session.replication = dict(await session.client.info("replication"))
        except redis.exceptions.ResponseError:
            session.replication = {}
    return session.replication


async def _note_lag(session: Session) -> None:
    """Report that a replica that lost its primary shows the past."""
    found = await _replication(session)
    if found.get("master_link_status") != "down":
        return
    seconds = int(found.get("master_link_down_since_seconds", -1))
    since = f"{span(seconds)} ago" if seconds >= 0 else "before it started"
    primary = f"{found.get('master_host')}:{found.get('master_port')}"
    evidence.partial(
        f"what the queues are now: this Redis is a replica that lost its primary, {primary}, "
        f"{since}; name the primary as queues.url of target {session.target_name} in opsnb.toml"
    )


async def server_ms(session: Session) -> int:
    """Return the server's clock in ms, which all clients share."""
    try:
        seconds, micros = await session.client.time()
    except redis.exceptions.ResponseError as error:
        evidence.without(f"the clock of Redis, which {session.refusal(error).rstrip('.')}")
        return int(time.time() * 1000)
    return int(seconds) * 1000 + int(micros) // 1000


async def names_of(session: Session) -> list[str]:
    """Return the target's queues: those of opsnb.toml, else those in Redis."""
    await _note_lag(session)
    return list(session.settings.names) or await discovery.find(session)


async def known(session: Session, name: str) -> Queue:
    """Return the queue `name`. Raises UsageError, with the nearest name, if there is none."""
    queue = session.queue(name)
    await _note_lag(session)
    if name in session.settings.names or await queue.client.exists(queue["meta"], queue["id"]):
        return queue
    try:
        there = await names_of(session)
    except BadAnswer as none:
        raise UsageError(f"There is no queue '{name}'. {none}") from none
    raise UsageError(
        f"There is no queue '{name}' on target {session.target_name}." + did_you_mean(name, there)
    )
