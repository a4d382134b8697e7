"""The locks of targets for runs in JupyterLab."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from opsnb.actions import journal
from opsnb.catalog import RunbookInfo
from opsnb.errors import OpsnbError
from opsnb.headless.locks import AT_THE_TERMINAL, Lock, held
from opsnb.headless.order import source_of
from opsnb.lab.kernels import Kernels
from opsnb.lab.notices import Notices
from opsnb.lab.run import Run, begin_by_hand
from opsnb.model import RunResult
from opsnb.records.store import Store


def demand_free(
    store: Store, runbook: RunbookInfo, parameters: dict[str, Any], wait_s: float | None
) -> None:
    """Raise Locked when another run still acts on the target after `wait_s` seconds."""
    run = begin_by_hand(runbook, source_of(runbook), parameters)
    with held(store, run.target, run, wait_s=wait_s):
        pass


_NONE: Mapping[str, datetime | None] = {}


class Locks:
    """Holds locks; several open runbooks share the lock of a target."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, Lock] = {}
        self._refused: set[str] = set()
        self._turn = threading.Lock()

    def hold(
        self, wanted: Mapping[str, RunResult], idle: Mapping[str, datetime | None] = _NONE
    ) -> dict[str, str]:
        """Hold exactly the locks of the targets `wanted`, each for the run that acts on it.

        `idle` is since when a target has been idle, for other runs that want its lock. Return a
        sentence for each lock that is newly refused.
        """
        with self._turn:
            for target in list(self._held):
                if target not in wanted or self._held[target].lost:
                    self._held.pop(target).release()
            self._refused &= wanted.keys()
            news = {}
            for target, run in wanted.items():
                is_news = target not in self._refused
                if (refusal := self._take(target, run)) and is_news:
                    news[target] = f"Do not act on {target} yet. {refusal}"
            for target, lock in self._held.items():
                lock.note_idle(idle.get(target))
            return news

    def take(self, target: str, run: RunResult) -> str:
        """Hold the lock of one more target for `run`; return the refusal, or nothing."""
        with self._turn:
            return self._take(target, run)

    @property
    def held(self) -> frozenset[str]:
        """The targets whose locks are held."""
        return frozenset(self._held)

    def _take(self, target: str, run: RunResult) -> str:
        if target in self._held and not self._held[target].lost:
            return ""
        lock = Lock(self._store, target, run)
        try:
            lock.take(0, ())
        except OpsnbError as error:
            self._refused.add(target)
            return str(error).removesuffix(AT_THE_TERMINAL)
        self._refused.discard(target)
        self._held[target] = lock
        return ""


class Keeper:
    """Keeps the locks of the targets on which cells may act while their kernels are in use."""

    def __init__(
        self,
        locks: Locks,
        kernels: Kernels,
        notices: Notices,
        idle_s: float,
        path_of: Callable[[Run], str],
    ) -> None:
        """`idle_s`: how long an idle kernel keeps its lock; `path_of` returns a run's notebook."""
        self._locks, self._kernels, self._notices = locks, kernels, notices
        self._idle_s, self._path_of = idle_s, path_of
        self._turn = asyncio.Lock()
        self._acting: dict[Run, str] = {}
        """The targets on which cells are acting now."""
        self._announced: frozenset[str] = frozenset()
        """The targets that the pages show as locked for others."""

    async def update(self) -> None:
        """Take the locks that are needed now, release the others, and report both."""
        async with self._turn:
            wanted = self._wanted()
            opened = {target: run.opening for target, run in wanted.items()}
            idle = {target: self._kernels.idle_since(target) for target in wanted}
            refused = await asyncio.to_thread(self._locks.hold, opened, idle)
            if self._locks.held != self._announced:
                self._announced = self._locks.held
                self._notices.locked(self._announced, self._idle_s)
        for target, sentence in refused.items():
            path = self._path_of(wanted[target])
            self._notices.say(sentence, "warning", path, topic="lock")

    async def give_turns(self) -> None:
        """Take the locks that actions ask for, or answer who holds them."""
        for run in self._kernels:
            if any(journal.turns(run.journal).glob("*.ask")):
                async with self._turn:
                    with suppress(OSError):  # the action gives up by itself, and says so
                        await asyncio.to_thread(self._give, run)
                await self.update()

    def release_all(self) -> None:
        """Release every lock."""
        self._locks.hold({})

    def _give(self, run: Run) -> None:
        def lock(target: str) -> str:
            opening = run.opening.model_copy(update={"target": target})
            refusal = self._locks.take(target, opening)
            if not refusal:
                self._acting[run] = target
            return refusal

        journal.give_turns(run.journal, lock)

    def _wanted(self) -> dict[str, Run]:
        """Return the targets whose locks are needed now, with a run that needs each."""
        wanted = {}
        for run in self._kernels:
            if not self._kernels.is_busy(run):
                self._acting.pop(run, None)
            if target := self._acting.get(run):
                wanted[target] = run
            if run.acts_on and self._kernels.is_used(run, self._idle_s):
                wanted[run.acts_on] = run
        return wanted
