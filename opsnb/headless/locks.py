"""The lock of a target: one run that acts at a time, whatever the runbook and whoever runs it.

A lock is a file in the record store, which everybody who runs runbooks on the target shares. It
is created exclusively, so one run gets it, and says who that is. Whether the holder lives is
judged in two ways, neither of which trusts a clock that somebody may set:

- on this machine by its processes: when the runner and its kernels are gone the lock is free;
- of another machine by its renewal: the holder rewrites the file every few seconds. A lock that
  looks old is watched for longer than that, and is free when it does not change.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from os import getpid

from pydantic import BaseModel, ValidationError

from opsnb.errors import Interrupted, Locked, OpsnbError
from opsnb.holder import Holder
from opsnb.model import RunResult, now
from opsnb.records import Store

RENEW_S = 5.0
LEASE_S = 30.0
"""A lock of another machine that is older than this is watched; one that was not renewed for so
long, as the store could not be written, is lost."""
_POLL_S = 0.5


class _Content(BaseModel):
    """What the file holds."""

    run_id: str
    runbook: str
    operator: str
    host: str
    since: datetime
    holders: list[Holder]
    renewed: datetime
    renewals: int = 0

    def told(self, target: str) -> str:
        """Return the sentence for who is refused."""
        return (
            f"Target {target} is locked: {self.operator} runs {self.runbook} on it, from "
            f"{self.host}, since {self.since:%F %H:%M} UTC (run {self.run_id}). "
            "Wait for its end with --wait SECONDS, or plan only, without --apply."
        )


class Lock:
    """The lock of a target while it is held."""

    def __init__(self, store: Store, target: str, run: RunResult) -> None:
        self._store = store
        self._target = target
        self._name = f".locks/{target}.json"
        self._content = _Content(
            **run.model_dump(include={"run_id", "runbook", "operator", "host"}),
            since=run.started,
            holders=[Holder.of(getpid())],
            renewed=now(),
        )
        self._turn = threading.Lock()
        self._released = threading.Event()
        self.lost = False
        """True when the run must stop: somebody else holds the lock, or nobody can know."""

    def take(self, wait_s: float, stopped: Sequence[signal.Signals]) -> None:
        """Take the lock. Raises Locked when somebody holds it still after `wait_s` seconds."""
        ends = time.monotonic() + wait_s
        while not self._store.create_file(self._name, self._text()):
            held = self._store.read_file(self._name)
            if held is None:
                continue
            if self._is_abandoned(held, stopped):
                self._store.remove_file(self._name, held)
            elif stopped:
                raise Interrupted("Interrupted while waiting for the lock; nothing was started.")
            elif time.monotonic() >= ends:
                raise Locked(self._refusal(held))
            else:
                time.sleep(_POLL_S)
        threading.Thread(target=self._keep_renewing, daemon=True).start()

    def add_holder(self, pid: int) -> None:
        """Note a kernel of the run: the lock is held as long as the runner or a kernel lives."""
        with self._turn:
            self._content.holders.append(Holder.of(pid))
        self._renew()

    def release(self) -> None:
        """Let the lock go, unless somebody else has it."""
        self._released.set()
        with self._turn, suppress(OpsnbError):  # it frees itself when this process is gone
            if self._is_mine():
                self._store.remove_file(self._name, self._text())

    def _text(self) -> str:
        return self._content.model_dump_json()

    def _is_mine(self) -> bool:
        held = _parsed(self._store.read_file(self._name))
        return held is not None and held.run_id == self._content.run_id

    def _refusal(self, held: str) -> str:
        content = _parsed(held)
        if content:
            return content.told(self._target)
        return (
            f"Target {self._target} is locked by a file that cannot be read, "
            f"{self._name} in {self._store.url}. Look who runs something on it, then remove it."
        )

    def _is_abandoned(self, held: str, stopped: Sequence[signal.Signals]) -> bool:
        content = _parsed(held)
        if content and all(holder.is_here for holder in content.holders):
            return not any(holder.is_alive for holder in content.holders)
        # Also one from the future: the other clock may be wrong, or this one.
        if content and abs((now() - content.renewed).total_seconds()) < LEASE_S:
            return False
        return self._stays_the_same(held, stopped)

    def _stays_the_same(self, held: str, stopped: Sequence[signal.Signals]) -> bool:
        """Watch a lock for longer than its holder would leave it as it is."""
        ends = time.monotonic() + 2.5 * RENEW_S
        while time.monotonic() < ends and not stopped:
            if self._store.read_file(self._name) != held:
                return False
            time.sleep(_POLL_S)
        return not stopped

    def _keep_renewing(self) -> None:
        renewed = time.monotonic()
        while not self._released.wait(RENEW_S) and not self.lost:
            with suppress(OpsnbError):
                self._renew()
                renewed = time.monotonic()
            self.lost = self.lost or time.monotonic() - renewed > LEASE_S

    def _renew(self) -> None:
        with self._turn:
            if self._released.is_set():
                return
            if not self._is_mine():
                self.lost = True
                return
            self._content.renewed = now()
            self._content.renewals += 1
            self._store.replace_file(self._name, self._text())


@contextmanager
def held(
    store: Store,
    target: str,
    run: RunResult,
    *,
    wait_s: float | None = None,
    stopped: Sequence[signal.Signals] = (),
) -> Iterator[Lock]:
    """Hold the lock of `target` for `run`.

    Raises Locked when another run holds it still after `wait_s` seconds, Interrupted when a signal
    turns up in `stopped` meanwhile, RunBroke when the store fails.
    """
    lock = Lock(store, target, run)
    lock.take(wait_s or 0, stopped)
    try:
        yield lock
    finally:
        lock.release()


def _parsed(text: str | None) -> _Content | None:
    try:
        return _Content.model_validate_json(text or "")
    except ValidationError:
        return None
