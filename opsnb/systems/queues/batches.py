"""How many jobs to change at once, so that other clients of Redis do not wait."""

from __future__ import annotations

import time
from collections import deque


class BatchPace:
    """How much to ask of the server at once, so that other clients do not wait.

    The quickest of the last few batches shows what the server needs for one job: the others waited
    for something else. A server that is slow even then gets a rest.
    """

    GOAL_S = 0.005
    _REST_S = 0.5

    def __init__(self, most: int = 1000) -> None:
        self._most, self._least = most, most // 20
        self._per_job_s: deque[float] = deque(maxlen=4)  # the last batches' seconds for one
        self.size = most // 2
        self._clock = time.perf_counter()

    def start(self) -> int:
        """Return the size of the batch that begins now."""
        self._clock = time.perf_counter()
        return self.size

    def end(self) -> None:
        """Adapt to the batch that ends now."""
        self._per_job_s.append((time.perf_counter() - self._clock) / self.size)
        needs = min(self._per_job_s)
        if needs * self._least > self.GOAL_S:
            time.sleep(min(needs * self._least, self._REST_S))
        self.size = max(self._least, min(self._most, int(self.GOAL_S / needs)))
