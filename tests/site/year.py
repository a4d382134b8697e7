"""A year of records on the demo: real runs, copied with other times and operators.

Jobs begin to fail, slowly more; one night they fail in numbers; then a deployment, an incident with
its fix, and a cleared cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from opsnb import catalog
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.headless.order import Order
from opsnb.model import RunResult
from opsnb.records.store import Store, new_run_id
from opsnb.redaction import Redactor
from tests.operate.deployment import first_release
from tests.queue_jobs import connected, key, write
from tests.runs import run

QUEUE = "exports"
INCIDENT = "INC-7"
_FIRST = 1000  # job, far from those of the demo
_COMPLETED = 400
_FAILED = (4, 8, 12, 16)
_SPIKE = 60
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


@dataclass(frozen=True)
class Real:
    """The runs that the year is made of."""

    fine: RunResult
    worse: list[RunResult]
    """The share of failed jobs grows from one to the next."""
    spike: RunResult
    deployed: RunResult
    down: RunResult
    restarted: RunResult
    cleared: RunResult


def real(target: Target) -> Real:
    """Run the runbooks on the demo, which is healthy before and after."""
    fine = _run(target, "health/daily")
    with _failed_jobs(target) as fail:
        worse = [_daily_with(target, fail, count) for count in _FAILED]
        spike = _daily_with(target, fail, _SPIKE)
    first_release(target)
    deployed = _run(
        target, "deployment/deploy", apply=True, unchecked_by="Ann", minutes="1s", wait="10s"
    )
    first_release(target)
    faults.inject("worker-down")
    down = _run(target, "incidents/service_down", INCIDENT)
    restarted = _run(
        target, "incidents/service_down", INCIDENT, apply=True, process="worker", minutes="10s"
    )
    faults.clear("worker-down")
    cleared = _run(target, "cache/clear", apply=True, pattern="gemini:*")
    return Real(fine, worse, spike, deployed, down, restarted, cleared)


def _run(target: Target, runbook: str, incident: str | None = None, **given: Any) -> RunResult:
    info = catalog.runbook(runbook)
    parameters = info.validate({"target": target.name, **given})
    return run(Order(info, target, parameters, incident=incident))


def _daily_with(target: Target, fail: Any, count: int) -> RunResult:
    fail(count)
    return _run(target, "health/daily")


@contextmanager
def _failed_jobs(target: Target) -> Iterator[Any]:
    """Yield what makes so many jobs of a queue failed ones."""
    counter = key(target, QUEUE, "id")  # of all jobs ever: the share of failed ones is of these
    with connected(target) as client:
        before = client.get(counter)
        written = write(target, QUEUE, _COMPLETED, state="completed", age_s=60, first=_FIRST)

        def fail(count: int) -> None:
            written.extend(write(target, QUEUE, count, age_s=60, first=_FIRST + _COMPLETED))

        try:
            yield fail
        finally:
            for state in ("completed", "failed"):
                client.zrem(key(target, QUEUE, state), *written)
            client.delete(counter, *(key(target, QUEUE, job) for job in written))
            if before is not None:
                client.set(counter, before)


class Year:
    """Writes the copies; `ids` says which record is which."""

    def __init__(self, kept: Store, store: Store, ends: datetime) -> None:
        self._kept, self._store = kept, store
        self._ends = ends.replace(microsecond=0)
        self.ids: dict[str, str] = {}

    def write(self, of: Real) -> None:
        """Write a check each week for a year, and what happened meanwhile."""
        days = range(364, 7, -7)
        for number, day in enumerate(days):
            step = number - (len(days) - 2 * len(of.worse))
            self._copy(of.fine if step < 0 else of.worse[step // 2], day, "cron")
        self.ids["spike"] = self._copy(of.spike, 150, "cron")
        self.ids["deployed"] = self._copy(of.deployed, 90, "ben")
        self.ids["down"] = self._copy(of.down, 40.02, "anna")
        self.ids["restarted"] = self._copy(of.restarted, 40, "anna")
        self._copy(of.cleared, 200, "ben")
        self.ids["cleared"] = self._copy(of.cleared, 5, "chloe")
        self.ids["after"] = self._copy(of.worse[-1], 4.9, "chloe")

    def _copy(self, result: RunResult, days_ago: float, operator: str) -> str:
        """Keep the run as it would have been so many days ago, and return its id."""
        by = self._ends - timedelta(days=days_ago) - result.started
        started = (result.started + by).astimezone(UTC)
        run_id = new_run_id(result.runbook, result.target, started)
        notebook = json.dumps(self._kept.notebook(result.run_id))
        texts = (result.model_dump_json(), notebook)
        moved, cells = (_moved(text.replace(result.run_id, run_id), by) for text in texts)
        copied = RunResult.model_validate_json(moved)
        copied = copied.model_copy(update={"operator": operator, "host": "ops1"})
        self._store.keep(copied, json.loads(cells), Redactor())
        return run_id


def _moved(text: str, by: timedelta) -> str:
    return _TIME.sub(lambda match: (datetime.fromisoformat(match[0]) + by).isoformat(), text)
