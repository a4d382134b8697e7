"""What several checks judge, read once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.errors import ServiceError

T = TypeVar("T")


class Reading(Generic[T]):
    """Read by the first check that needs it; others that run at the same time wait for it.

    It is read again after an action. `arguments` say what it reads, for the findings that rest
    on it.
    """

    def __init__(self, read: Callable[[Target], T], **arguments: Any) -> None:
        self.arguments = arguments
        self._read = read
        self._change: float | None = None
        self._lock = threading.Lock()
        self._seen: list[T | ServiceError] = []
        self._gaps: list[evidence.Gap] = []

    def of(self, target: Target) -> T:
        """Return what was read. Raises ServiceError in every check when that failed."""
        with self._lock:
            if self._change != evidence.last_change():
                self._seen.clear()
            if not self._seen:
                self._change = evidence.last_change()
                with evidence.collected() as self._gaps:
                    try:
                        self._seen.append(self._read(target))
                    except ServiceError as error:
                        self._seen.append(error)
        evidence.repeat(self._gaps)
        (seen,) = self._seen
        if isinstance(seen, ServiceError):
            raise seen
        return seen
