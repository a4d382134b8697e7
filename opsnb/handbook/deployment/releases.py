"""Which release was live when, by the records of deployments and rollbacks.

Handbook, sections 8.2 and 8.4.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsnb.actions.journal import JOURNAL, read
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import ActionRecord, ActionState, Finding, Remedy, RunResult, Status, now
from opsnb.records.reader import past_runs
from opsnb.view import commands

DEPLOY, ROLLBACK = "deployment/deploy", "deployment/rollback"
_RECORDS = timedelta(days=90)
_LONGEST = timedelta(hours=6)  # the longest that a change may take
_ACTIONS = {DEPLOY: "deploying.release", ROLLBACK: "deploying.go_back"}


@dataclass(frozen=True)
class Change:
    """A deployment or a rollback that was begun."""

    run_id: str
    runbook: str
    before: str
    """The release that was live when it began."""
    to: str
    """The release that it went back to; empty for a deployment."""
    is_over: bool
    """Whether it completed."""
    stopped_at: str
    """The step at which it failed or was interrupted."""
    why: str
    applied: int
    """How many of its steps were done."""
    began: float
    """When its run began, in seconds since 1970, as `ended`."""
    ended: float

    @property
    def is_rollback(self) -> bool:
        """Whether it was a rollback."""
        return self.runbook == ROLLBACK


def changes(target: Target, since: datetime | None = None) -> list[Change]:
    """Return the recorded changes since a time, by default of 90 days, the oldest first.

    Records that cannot be read are left out.
    """
    return [
        _change(done, result)
        for result in past_runs(target, since or now() - _RECORDS, tuple(_ACTIONS))
        for done in result.actions
        if done.name == _ACTIONS[result.runbook] and done.begun
    ]


def changes_after(target: Target, since: float) -> list[Change]:
    """Return the changes that did something and ended after `since`, the oldest first."""
    past = changes(target, datetime.fromtimestamp(since, UTC) - _LONGEST)
    return [change for change in past if change.applied and change.ended >= since]


def _change(done: ActionRecord, result: RunResult | None = None) -> Change:
    """Return the change that an action made; without a `result`, in this run."""
    unfinished = (row for row in done.sample if row.get("state") in ("failed", "under way"))
    at = next(unfinished, {})
    return Change(
        run_id=result.run_id if result else "",
        runbook=result.runbook if result else "",
        before=str(done.terms.get("before", "")),
        to=str(done.terms.get("to", "")),
        is_over=done.state is ActionState.APPLIED,
        stopped_at=str(at.get("step", "")),
        why=str(at.get("said", "")),
        applied=done.applied,
        began=(result.started if result else now()).timestamp(),
        ended=(result.finished if result else now()).timestamp(),
    )


def unfinished_change(past: Sequence[Change]) -> Change | None:
    """Return the newest of the `past` changes, if it did not complete."""
    newest = past[-1:]
    return newest[0] if newest and not newest[0].is_over else None


def release_before(past: Sequence[Change], at: str) -> str:
    """Return the release that was live before `at`, by `past` changes; empty if unknown.

    A release that was rolled back is not counted.
    """
    trail: list[str] = []
    for change in past:
        live = change.to or change.before
        trail = trail[: trail.index(live)] if live in trail else trail
        if not change.to:
            trail.append(live)
    trail = trail[: trail.index(at)] if at in trail else trail
    return trail[-1] if trail else ""


def _of_this_run() -> Iterator[Change]:
    """Yield the changes that this run has begun itself, which have no record yet."""
    path = os.environ.get(JOURNAL)
    for done in read(Path(path)) if path else ():
        if done.begun and done.name in _ACTIONS.values():
            yield _change(done)


@check()
def unfinished(target: Target) -> Finding:
    """Interrupted deployment"""
    left = unfinished_change([*changes(target), *_of_this_run()])
    if left is None:
        message = "The records show no interrupted deployment or rollback."
        return Finding(status=Status.OK, message=message)
    place = f" at '{left.stopped_at}'" if left.stopped_at else ""
    why = f" ({left.why})" if left.why else ""
    return Finding(
        status=Status.WARN,
        message=f"{left.run_id} stopped{place}{why}: the code on disk may differ from what runs. "
        f"Continue it: {commands.line('run', '--resume', left.run_id)}, or roll back.",
        rows=[{"run": left.run_id, "runbook": left.runbook, "before": left.before}],
        remedies=[Remedy.of(ROLLBACK, f"goes back to {left.before}", release=left.before)],
    )
