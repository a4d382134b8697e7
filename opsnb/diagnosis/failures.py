"""Why jobs fail: a dependency, a worker that dies, a slow upstream, or the code and what it is fed.

Handbook, section 5.5. Failed jobs are grouped by their reason, with numbers and ids left out, and
the top frame of their stack; each group has one kind of cause.
"""

from __future__ import annotations

from opsnb.check import check
from opsnb.diagnosis.causes import Cause, cause_of
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems import queues
from opsnb.systems.queues import Failure, Failures
from opsnb.systems.queues.words import span
from opsnb.target import Target

_SYSTEMS = (queues.SYSTEM,)
_NOTEWORTHY_PERCENT = 1.0  # of a queue's jobs
_STILL_S = 60.0  # a failure that is younger says that it still happens
_MOST_ROWS = 10

_KINDS: dict[Cause, str] = {
    "worker": "worker",
    "redis": "dependency",
    "database": "dependency",
    "connection": "dependency",
    "upstream": "upstream",
    "code": "defect",
}
"""The check to which each cause belongs."""


@check(needs=_SYSTEMS)
def rate(target: Target, queue: str) -> Finding:
    """Failed share of the queue's jobs"""
    row = queues.counts_of(target, queue)
    percent = round(100 * row["failed"] / row["total"], 2) if row["total"] else 0.0
    message = f"{queue}: {row['failed']} of {row['total']} jobs have failed."
    return Finding.measured(percent, target.threshold("queue_failed_percent"), message)


def patterns(target: Target, queue: str, newest: int = 1000) -> list[Row]:
    """Failures by reason and place"""
    found = queues.failures_of(target, queue, newest)
    return [_group_row(group, found) for group in found.groups[:_MOST_ROWS]]


@check(needs=_SYSTEMS)
def dependency(target: Target, queue: str) -> Finding:
    """A dependency does not answer the jobs"""
    remedy = Remedy(
        runbook="incidents/service_down", why="tells which one is down, and starts what is not up"
    )
    return _judge(target, queue, "dependency", "speak of a dependency that is lost or slow", remedy)


@check(needs=_SYSTEMS)
def worker_died(target: Target, queue: str) -> Finding:
    """Workers die over their jobs"""
    remedy = Remedy(runbook="troubleshooting/memory", why="tells whether they ran out of memory")
    return _judge(target, queue, "worker", "were lost by a worker that died or hung", remedy)


@check(needs=_SYSTEMS)
def upstream(target: Target, queue: str) -> Finding:
    """An upstream is slow or refuses"""
    remedy = Remedy(
        runbook="queues/pause", parameters={"queue": queue}, why="spares it until it is well"
    )
    return _judge(target, queue, "upstream", "timed out or were refused by an upstream", remedy)


@check(needs=_SYSTEMS)
def defect(target: Target, queue: str) -> Finding:
    """The jobs' own code or data fails"""
    return _judge(target, queue, "defect", "failed in the code or over what they were given")


def _judge(target: Target, queue: str, kind: str, words: str, *before: Remedy) -> Finding:
    """Judge the failed jobs of one kind; `words` say what they did, `before` what mends that."""
    found = queues.failures_of(target, queue)
    groups = [group for group in found.groups if _kind(group) == kind]
    if not groups:
        message = f"Of {found.read} failed jobs of {queue} none {words}."
        return Finding(status=Status.OK, message=message)
    jobs, first = sum(len(group.jobs) for group in groups), groups[0]
    status = _status(target, jobs, found)
    since = found.now_ms - max(group.last_ms for group in groups)
    recent = since < _STILL_S * 1000
    lately = "it still happens" if recent else f"the last {span(since / 1000)} ago"
    place = f" in {first.frame}" if first.frame else ""
    return Finding(
        status=status,
        message=f"{jobs} of {found.read} failed jobs {words}, most: {first.example}{place}; "
        f"{lately}.",
        value=jobs,
        unit="jobs",
        rows=[_group_row(group, found) for group in groups[:_MOST_ROWS]],
        share=jobs / found.read,
        remedies=[] if status is Status.OK else [*before, _retry(queue, first)],
    )


def _status(target: Target, jobs: int, found: Failures) -> Status:
    percent = 100 * jobs / found.total
    status = target.threshold("queue_failed_percent").judge(percent)
    return Status.WARN if status is Status.OK and percent > _NOTEWORTHY_PERCENT else status


def _retry(queue: str, group: Failure) -> Remedy:
    reason = {"reason": group.common} if group.common else {}
    return Remedy(
        runbook="queues/retry_failed",
        parameters={"queue": queue, **reason},
        why="once the cause is mended; it shows them first, with --apply it retries them",
    )


def _kind(group: Failure) -> str:
    return _KINDS[cause_of(group.text, group.stack)]


def _group_row(group: Failure, found: Failures) -> Row:
    return {
        "jobs": len(group.jobs),
        "reason": group.reason,
        "where": group.frame or None,
        "kind": _kind(group),
        "job names": ", ".join(sorted(filter(None, group.names))),
        "attempts": group.attempts,
        "first": f"{span((found.now_ms - group.first_ms) / 1000)} ago",
        "last": f"{span((found.now_ms - group.last_ms) / 1000)} ago",
        "newest": group.jobs[0],
    }
