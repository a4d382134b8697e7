"""Causes of many errors by when they began: a deployment, or a restart."""

from __future__ import annotations

from opsnb.checks.causes import likely, ruled_out
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.handbook.deployment.releases import Change
from opsnb.handbook.incidents.high_error_rate.window import (
    OWN_CAUSES,
    PRECEDES_S,
    Group,
    Seen,
    Window,
    errors_of,
)
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems import host, logs
from opsnb.systems.processes.settings import Processes
from opsnb.view.formats import and_list, span

RECORDED_AS = "errors"
_LIMIT_S = 60.0
_STARTED_SHARE = 0.97  # before what is known by words alone


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def deployed(target: Target, window: Window) -> Finding:
    """Recent deployment"""
    seen = window.of(target)
    rows: list[Row] = [
        {"at": logs.iso(change.began), "runbook": change.runbook, "run": change.run_id}
        for change in seen.deployed
    ]
    if reason := seen.needs_no_cause(target):
        return ruled_out(reason, rows)
    preceded = [(group, last) for group in seen.ongoing if (last := _deployment(seen, group))]
    if not preceded:
        return ruled_out(
            f"No deployment of {target.name} is recorded just before they began.", rows
        )
    live = [(group, last) for group, last in preceded if not _rollback(seen, last)]
    if not live:
        _, last = preceded[0]
        back = _rollback(seen, last)
        assert back is not None  # each of them was rolled back
        return ruled_out(
            f"{last.run_id} preceded them, and was rolled back by {back.run_id}.", rows
        )
    first, last = live[0]
    ours = [group for group, other in live if other is last]
    return likely(
        f"{seen.subject(ours)} began {span(first.begun - last.began)} after the deployment "
        f"{last.run_id} had begun.",
        _STARTED_SHARE * len(errors_of(ours)) / len(seen.current),
        Remedy.of("deployment/rollback", "returns to the previous release"),
        status=Status.CRIT,
        rows=rows,
    )


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def started(target: Target, window: Window) -> Finding:
    """Recent restart"""
    seen = window.of(target)
    if not seen.started:
        message = f"{Processes.of(target).manager} does not report when the processes started."
        return Finding(status=Status.UNKNOWN, message=message)
    rows: list[Row] = [
        {"process": name, "started": logs.iso(at)} for name, at in sorted(seen.started.items())
    ]
    if reason := seen.needs_no_cause(target):
        return ruled_out(reason, rows)
    ours = [group for group in seen.ongoing if _starts_before(seen, group)]
    if not ours:
        return ruled_out(
            f"No process was started within {span(PRECEDES_S)} before they began.", rows
        )
    before = _starts_before(seen, ours[0])
    after, begun = max(0.0, min(before.values())), errors_of(ours)
    own = sum(seen.cause(entry) in OWN_CAUSES for _, entry in begun)
    return Finding(
        status=Status.WARN,
        message=f"{seen.subject(ours)} began {span(after)} after the start of "
        f"{and_list(sorted(before))}; {own} of {len(begun)} point to the service "
        "itself.",
        rows=rows,
        # A restart explains few errors of other services.
        share=_STARTED_SHARE * own / len(seen.current),
        remedies=[
            Remedy.of(
                "deployment/rollback",
                "returns to the previous release, if the restart deployed one",
            )
        ],
    )


def _deployment(seen: Seen, group: Group) -> Change | None:
    """Return the last deployment just before `group` began."""
    before = [
        change
        for change in seen.deployed
        if change.began - 1 < group.begun < change.ended + PRECEDES_S
    ]
    return before[-1] if before else None


def _rollback(seen: Seen, deployment: Change) -> Change | None:
    """Return the last rollback since a deployment."""
    back = [
        change for change in seen.deployed if change.is_rollback and change.began > deployment.began
    ]
    return back[-1] if back else None


def _starts_before(seen: Seen, group: Group) -> dict[str, float]:
    """Return how long before `group` began each process was started, of those just before."""
    return {
        name: group.begun - at
        for name, at in seen.started.items()
        if -1 < group.begun - at < PRECEDES_S
    }
