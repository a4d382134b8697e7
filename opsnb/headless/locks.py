"""The lock of a target: only one run at a time may change it, whatever the runbook or the operator.

A lock is a file in the record store, which everyone who operates the target shares. It is created
exclusively, so only one run gets it, and it names that run. Whether the holder is alive is decided
in two ways; neither trusts a clock that can be set:

- in the same PID namespace and boot, by its processes: when the runner and its kernels are gone,
  the lock is free;
- in another container or on another machine, by renewal: the holder rewrites the file every few
  seconds, and stops when it could not for `LEASE_S`. A run that wants the lock watches it for
  longer than that, and takes it if it does not change.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from os import getpid

from pydantic import AwareDatetime, BaseModel, ValidationError

from opsnb.errors import ConfigError, Interrupted, Locked, OpsnbError, RunBroke
from opsnb.machine.holder import Holder
from opsnb.model import RunResult, now
from opsnb.records.store import Store
from opsnb.records.stored import id_part
from opsnb.view.formats import span

RENEW_S = 5.0
LEASE_S = 20.0
"""A lock that was not renewed for this long is lost."""
_POLL_S = 0.5

AT_THE_TERMINAL = " To wait for it, add --wait SECONDS. For the plan alone, leave out --apply."
"""The end of a refusal on the command line."""


class _Content(BaseModel):
    """The content of the file."""

    run_id: str
    runbook: str
    operator: str
    host: str
    since: AwareDatetime
    holders: list[Holder]
    renewed: AwareDatetime
    renewals: int = 0
    limit_s: float | None = None
    """How long the run may take at most."""
    by_hand: bool = False
    """Whether it is open in JupyterLab."""
    idle_since: datetime | None = None
    """When the last cell of an open runbook ended; None while one is running."""

    def refusal(self, target: str) -> str:
        """Return the refusal for another run."""
        pid = self.holders[0].pid if self.holders else 0
        limit = f", for at most {span(self.limit_s)}" if self.limit_s else ""
        idle = f", idle since {self.idle_since:%F %H:%M} UTC" if self.idle_since else ""
        if self.by_hand:
            how = f"has {self.runbook} open in JupyterLab with apply = True"
            end = "save apply = False in that notebook, or shut down its kernel"
        else:
            how = f"is running {self.runbook}"
            end = f"press Ctrl-C where it runs, or run there: kill -INT {pid}"
        return (
            f"Target {target} is locked: {self.operator} {how} on {self.host}, "
            f"since {self.since:%F %H:%M} UTC{idle}{limit} (run {self.run_id}). "
            f"To end it, {end}.{AT_THE_TERMINAL}"
        )

    def waits(self, target: str) -> str:
        """Return what a waiting run shows: who holds the lock, since when, and how long at most."""
        how = "has open" if self.by_hand else "is running"
        limit = f", for at most {span(self.limit_s)}" if self.limit_s else ", no limit"
        return (
            f"Waiting for {target}: {self.operator} {how} {self.runbook} on {self.host}, "
            f"since {self.since:%F %H:%M} UTC{'' if self.by_hand else limit}"
        )


class Lock:
    """The lock of a target while it is held."""

    def __init__(
        self, store: Store, target: str, run: RunResult, *, limit_s: float | None = None
    ) -> None:
        """`limit_s`, the time limit of `run`, is shown to runs that wait."""
        self._store = store
        self._target = target
        self._name = f".locks/{id_part(target)}.json"  # a notebook may name any target
        self._content = _Content(
            **run.model_dump(include={"run_id", "runbook", "operator", "host"}),
            since=run.started,
            holders=[Holder.of(getpid())],
            renewed=now(),
            limit_s=limit_s,
            by_hand=run.open,
        )
        self._turn = threading.Lock()
        self._released = threading.Event()
        self._taken = False
        self._renewed = _clock()

    @property
    def lost(self) -> bool:
        """Whether the run must stop: another run holds the lock, or may hold it."""
        return self._taken or _clock() - self._renewed > LEASE_S

    def take(
        self,
        wait_s: float,
        stopped: Sequence[signal.Signals],
        waits: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the lock. Raises Locked when another run still holds it after `wait_s` seconds.

        `waits` is called repeatedly with a sentence about that run. Raises ConfigError when the
        lock cannot be written.
        """
        try:
            self._take_in_time(wait_s, stopped, waits)
        except RunBroke as error:
            raise ConfigError(
                f"Target {self._target} cannot be locked, so nothing was started. {error}"
            ) from error
        threading.Thread(target=self._keep_renewing, daemon=True).start()

    def _take_in_time(
        self, wait_s: float, stopped: Sequence[signal.Signals], waits: Callable[[str], None]
    ) -> None:
        ends = time.monotonic() + wait_s
        while not self._take_free():
            held = self._store.shared.read(self._name)
            if held is None:
                continue
            if self._is_abandoned(held, stopped) and self._take_over(held):
                break
            if stopped:
                raise Interrupted("Interrupted while waiting for the lock; nothing was started.")
            if time.monotonic() >= ends:
                raise Locked(self._refusal(held))
            if content := _parsed(held):
                waits(content.waits(self._target))
            time.sleep(_POLL_S)

    def add_holder(self, pid: int) -> None:
        """Note a kernel of the run: the lock is held while the runner or a kernel lives."""
        with self._turn:
            self._content.holders.append(Holder.of(pid))
        self._renew()

    def note_idle(self, since: datetime | None) -> None:
        """Note since when no cell has been running; None while one is."""
        if since != self._content.idle_since:
            self._content.idle_since = since
            with suppress(OpsnbError):  # the next renewal notes it
                self._renew()

    def release(self) -> None:
        """Release the lock, unless another run has it."""
        self._released.set()
        with self._turn, suppress(OpsnbError):  # it becomes free when this process ends
            self._store.shared.exchange(self._name, self._is_mine, None)

    def _take_free(self) -> bool:
        self._renewed, self._content.renewed = _clock(), now()
        return self._store.shared.create(self._name, self._text())

    def _take_over(self, held: str) -> bool:
        self._renewed, self._content.renewed = _clock(), now()
        return self._store.shared.exchange(self._name, held.__eq__, self._text())

    def _text(self) -> str:
        return self._content.model_dump_json()

    def _is_mine(self, held: str) -> bool:
        content = _parsed(held)
        return content is not None and content.run_id == self._content.run_id

    def _refusal(self, held: str) -> str:
        content = _parsed(held)
        if content:
            return content.refusal(self._target)
        return (
            f"Target {self._target} is locked by a file that cannot be read, "
            f"{self._name} in {self._store.url}. If no run is acting on it, remove that file."
        )

    def _is_abandoned(self, held: str, stopped: Sequence[signal.Signals]) -> bool:
        content = _parsed(held)
        if content and content.holders and all(holder.is_here for holder in content.holders):
            return not any(holder.is_alive for holder in content.holders)
        # It looks fresh, so waiting is pointless. A wrong clock only costs time.
        if content and abs((now() - content.renewed).total_seconds()) < LEASE_S:
            return False
        return self._stays_the_same(held, stopped)

    def _stays_the_same(self, held: str, stopped: Sequence[signal.Signals]) -> bool:
        """Watch a lock for longer than its holder may go without renewing it."""
        ends = _clock() + LEASE_S + RENEW_S
        while _clock() < ends and not stopped:
            if self._store.shared.read(self._name) != held:
                return False
            time.sleep(_POLL_S)
        return not stopped

    def _keep_renewing(self) -> None:
        while not self._released.wait(RENEW_S) and not self.lost:
            with suppress(OpsnbError):
                self._renew()

    def _renew(self) -> None:
        with self._turn:
            if self._released.is_set():
                return
            began = _clock()  # a slow renewal counts from its start
            self._content.renewed = now()
            self._content.renewals += 1
            if self._store.shared.exchange(self._name, self._is_mine, self._text()):
                self._renewed = began
            else:
                self._taken = True


def _clock() -> float:
    """Return the seconds of a clock that cannot be set and does not stop during sleep."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@contextmanager
def held(  # noqa: PLR0913 - the run and its limits
    store: Store,
    target: str,
    run: RunResult,
    *,
    wait_s: float | None = None,
    stopped: Sequence[signal.Signals] = (),
    limit_s: float | None = None,
    waits: Callable[[str], None] = lambda _: None,
) -> Iterator[Lock]:
    """Hold the lock of `target` for `run`, which may take at most `limit_s` seconds.

    `waits` is called with a sentence about the run that it waits for. Raises Locked when that run
    still holds the lock after `wait_s` seconds, Interrupted when a signal arrives in `stopped`
    meanwhile, ConfigError when the lock cannot be written.
    """
    lock = Lock(store, target, run, limit_s=limit_s)
    lock.take(wait_s or 0, stopped, waits)
    try:
        yield lock
    finally:
        lock.release()


def _parsed(text: str | None) -> _Content | None:
    try:
        return _Content.model_validate_json(text or "")
    except ValidationError:
        return None
