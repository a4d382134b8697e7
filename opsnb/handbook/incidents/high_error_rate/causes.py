"""Causes of many errors by what they say: Redis or PostgreSQL, an upstream service, the code."""

from __future__ import annotations

from opsnb.checks import evidence
from opsnb.checks.causes import likely, not_checked, ruled_out
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError
from opsnb.handbook.error_causes import REDIS_IS_FULL, Cause
from opsnb.handbook.incidents.high_error_rate.window import CAUSE_OF, OWN_CAUSES, PRECEDES_S, Window
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.redaction import outside
from opsnb.systems import dependencies, host, logs, queues
from opsnb.view.formats import utc

RECORDED_AS = "errors"
_LIMIT_S = 60.0
_MOST_ROWS = 10
_MOST_LINE = 1000
_MOST_QUEUES = 3
_DOWN_SHARE = 1.0  # all other errors follow from it
_MOST_SHARE = 0.95  # of a cause known by the words of errors alone
_MAKE_ROOM = (
    Remedy.of("cache/health", "shows how full it is, and its eviction policy"),
    Remedy.of("cache/key_patterns", "shows which keys take the memory"),
)


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def redis(target: Target, window: Window) -> Finding:
    """Redis down or lost"""
    return _dependency(target, window, "redis")


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def postgres(target: Target, window: Window) -> Finding:
    """PostgreSQL down or lost"""
    return _dependency(target, window, "postgres")


def _dependency(target: Target, window: Window, name: str) -> Finding:
    known, seen = dependencies.dependency(target, name), window.of(target)
    lost = seen.lost[name]
    rows: list[Row] = [
        {"at": logs.iso(at), "line": outside.head(line, _MOST_LINE)}
        for at, line in lost[-_MOST_ROWS:]
    ]
    if known is None:
        return not_checked(f"Target {target.name} names no {name}.")
    if known.state == "unknown":
        raise BadAnswer(name, known.said)
    if known.state != "up":
        return likely(
            known.said,
            _DOWN_SHARE,
            Remedy.of("incidents/service_down", f"starts {known.title}", apply=True),
            status=Status.CRIT,
            rows=rows,
        )
    ours = seen.about(CAUSE_OF[name])
    reason = seen.needs_no_cause(target)
    if reason or not ours:
        message = reason or f"{seen.counted(ours)} mention it."
        return ruled_out(f"{known.said} {message}", rows)
    share = _MOST_SHARE * len(ours) / len(seen.current)
    full = [1 for _, entry in ours if name == "redis" and REDIS_IS_FULL.search(entry.message)]
    if full:
        return likely(
            f"Redis responds, but is full: {seen.counted(ours)} mention it, {len(full)} "
            "of them of its memory.",
            share,
            *_MAKE_ROOM,
            rows=rows,
        )
    begun = min(group.begun for group in seen.ongoing)
    before = [
        at for at, line in lost if at >= begun - PRECEDES_S and not REDIS_IS_FULL.search(line)
    ]
    lost_words = (
        f"{len(before)} log lines report it as lost, the last at {utc(before[-1])}; "
        if before
        else ""
    )
    return likely(
        f"{known.title} responds now, but {lost_words}{seen.counted(ours)} mention it.",
        share,
        Remedy.of("incidents/service_down", "checks whether it stays up"),
        rows=rows,
    )


def _queues_that_fail(target: Target, _: Finding) -> list[Remedy]:
    """Return a remedy for each queue with failing jobs, the worst first."""
    try:
        with evidence.collected():  # their gaps are none of this cause
            rows = queues.failures(target).rows
    except ServiceError:
        rows = []
    failing = [row["queue"] for row in rows if row.get("failed")]
    return [
        Remedy.of("troubleshooting/failed_jobs", "shows which jobs fail because of it", queue=queue)
        for queue in failing[:_MOST_QUEUES]
    ] or [Remedy.of("queues/monitor", "shows which queues wait for it")]


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True, treated_by=_queues_that_fail)
def upstream(target: Target, window: Window) -> Finding:
    """Failing upstream service"""
    words = "mention an upstream service"
    return _worded(target, window, words, ("upstream", "connection"))


@check(
    needs=(host.SYSTEM,),
    limit_s=_LIMIT_S,
    is_cause=True,
    treated_by=treated_by(
        "deployment/rollback", "returns to the previous release, if the defect is new"
    ),
)
def code(target: Target, window: Window) -> Finding:
    """Defect in the service"""
    return _worded(target, window, "point to the service itself", OWN_CAUSES)


def _worded(target: Target, window: Window, words: str, causes: tuple[Cause, ...]) -> Finding:
    """Judge the errors that mention an upstream service, or that point to the service itself."""
    seen = window.of(target)
    if reason := seen.needs_no_cause(target):
        return ruled_out(reason)
    ours = seen.about(*causes)
    message = f"{seen.counted(ours)} {words}."
    if not ours:
        return ruled_out(message)
    rows = sorted(logs.groups(ours), key=lambda row: -int(row["count"]))
    return likely(
        f"{message} Most of all: {rows[0]['sample']}",
        _MOST_SHARE * len(ours) / len(seen.current),
        rows=rows[:_MOST_ROWS],
    )
