"""The locks of the targets that are acted on by hand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opsnb.catalog import RunbookInfo
from opsnb.errors import OpsnbError
from opsnb.headless.locks import AT_THE_TERMINAL, Lock, held
from opsnb.headless.order import source_of
from opsnb.lab.run import begin_by_hand
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
    """Holds what locks are wanted; several runbooks that are open on a target share one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, Lock] = {}
        self._refused: set[str] = set()
        self._turn = threading.Lock()

    def hold(
        self, wanted: Mapping[str, RunResult], idle: Mapping[str, datetime | None] = _NONE
    ) -> dict[str, str]:
        """Hold the locks of the targets `wanted`, each for the run that acts on it, and no other.

        `idle` says since when nothing is at work on a target; others that want the lock read that.
        Returns a sentence on each lock that cannot be had, once until it can.
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
        """Hold the lock of one more target for `run`; return why it cannot be had, or nothing."""
        with self._turn:
            return self._take(target, run)

    @property
    def held(self) -> frozenset[str]:
        """The targets that others cannot act on now."""
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
