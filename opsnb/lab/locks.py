"""The locks of the targets that are acted on by hand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opsnb.catalog import RunbookInfo
from opsnb.errors import OpsnbError
from opsnb.headless.locks import Lock, held
from opsnb.headless.run import source_of
from opsnb.lab.recorder import begin_by_hand
from opsnb.model import RunResult
from opsnb.records import Store


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
    ) -> list[str]:
        """Hold the locks of the targets `wanted`, each for the run that acts on it, and no other.

        `idle` says since when nothing is at work on a target; others that want the lock read that.
        Returns a sentence on each lock that cannot be had, once until it can.
        """
        with self._turn:
            for target in list(self._held):
                if target not in wanted or self._held[target].lost:
                    self._held.pop(target).release()
            self._refused &= wanted.keys()
            refused = [
                sentence
                for target, run in wanted.items()
                if target not in self._held and (sentence := self._take(target, run))
            ]
            for target, lock in self._held.items():
                lock.note_idle(idle.get(target))
            return refused

    def _take(self, target: str, run: RunResult) -> str:
        lock = Lock(self._store, target, run)
        try:
            lock.take(0, ())
        except OpsnbError as error:
            told = target in self._refused
            self._refused.add(target)
            return "" if told else f"Do not act on {target} yet. {error}"
        self._refused.discard(target)
        self._held[target] = lock
        return ""
