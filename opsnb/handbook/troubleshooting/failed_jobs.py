"""Why jobs fail: a dependency, a worker that dies, a slow upstream service, or code and data.

Handbook, section 5.5. Failed jobs are grouped by their reason, without numbers and ids, and the top
frame of their stack; each group has one kind of cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsnb.checks.causes import likely, ruled_out
from opsnb.checks.check import check
from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.handbook.error_causes import FAILED_CHILD, Cause, Places, cause_of
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems import queues
from opsnb.systems.queues import Failure, Failures
from opsnb.systems.queues.settings import Queues
from opsnb.view.formats import and_list, span

RECORDED_AS = "failures"
_SYSTEMS = (queues.SYSTEM,)
_STILL_S = 60.0  # a younger failure shows that it still happens
_MOST_ROWS = 10
_MOST_NAMES = 5

_KINDS: dict[Cause, str] = {
    "worker": "worker",
    "child": "child",
    "redis": "dependency",
    "database": "dependency",
    "connection": "dependency",
    "disk": "dependency",
    "upstream": "upstream",
    "code": "defect",
}
"""The check to which each cause belongs."""

_NAMES: dict[Cause, str] = {
    "redis": "Redis",
    "database": "the database",
    "connection": "a lost connection",
    "disk": "a full disk",
}


class Failed(Reading[Failures]):
    """The newest failed jobs of a queue, read once for all checks that are given them."""

    def __init__(self, queue: str, newest: int = 1000) -> None:
        super().__init__(lambda target: queues.failures_of(target, queue, newest), queue=queue)
        self.queue = queue


@check(needs=_SYSTEMS)
def rate(target: Target, jobs: Failed) -> Finding:
    """Failed share of the queue's jobs"""
    return jobs.of(target).rate.judged(target)


def patterns(target: Target, jobs: Failed) -> list[Row]:
    """Failures by reason and place"""
    failed = jobs.of(target)
    return [_group_row(target, group, failed) for group in failed.groups[:_MOST_ROWS]]


@check(needs=_SYSTEMS, is_cause=True)
def dependency(target: Target, jobs: Failed) -> Finding:
    """Redis, database or disk failures"""
    remedy = Remedy.of("incidents/service_down", "shows which one is down; with --apply starts it")
    return _judge(target, jobs, "dependency", "mention {}", remedy)


@check(needs=_SYSTEMS, is_cause=True)
def worker_died(target: Target, jobs: Failed) -> Finding:
    """Workers that die over their jobs"""
    remedy = Remedy.of("troubleshooting/memory", "shows whether they ran out of memory")
    return _judge(target, jobs, "worker", "were lost by a worker that died or hung", remedy)


@check(needs=_SYSTEMS, is_cause=True)
def upstream(target: Target, jobs: Failed) -> Finding:
    """Slow or failing upstream service"""
    remedy = Remedy.of("queues/pause", "stops the calls until it responds", queue=jobs.queue)
    return _judge(target, jobs, "upstream", "timed out or were refused by an upstream", remedy)


@check(needs=_SYSTEMS, is_cause=True)
def failed_children(target: Target, jobs: Failed) -> Finding:
    """Failed child jobs of flows"""
    return _judge(target, jobs, "child", "failed because a child job of their flow failed")


@check(needs=_SYSTEMS, is_cause=True)
def defect(target: Target, jobs: Failed) -> Finding:
    """Defect in the jobs' code or data"""
    return _judge(target, jobs, "defect", "failed in their own code or because of their data")


def _judge(target: Target, jobs: Failed, kind: str, words: str, *before: Remedy) -> Finding:
    """Judge the failed jobs of one kind; `words` say what they did, `before` are what fixes it."""
    failed, places = jobs.of(target), Places.of(target)
    causes = {id(group): _cause(group, places) for group in failed.groups}
    groups = [group for group in failed.groups if _KINDS[causes[id(group)]] == kind]
    if not failed.read:
        return ruled_out(f"{jobs.queue} has no failed job.")
    if not groups:
        none = words.format("Redis, a database or a full disk")
        return ruled_out(f"Of {failed.read} failed jobs of {jobs.queue} none {none}.")
    count, first = sum(len(group.jobs) for group in groups), groups[0]
    if kind == "child":
        before = _children(target, groups)
    named = dict.fromkeys(_NAMES.get(causes[id(group)], "") for group in groups)
    status = _status(target, count, failed)
    since = failed.now_ms - max(group.last_ms for group in groups)
    recent = since < _STILL_S * 1000
    lately = "it still happens" if recent else f"the last {span(since / 1000)} ago"
    place = f" in {first.frame}" if first.frame else ""
    return likely(
        f"{count} of {failed.read} failed jobs {words.format(and_list(named))}, most: "
        f"{first.example}{place}; {lately}.",
        count / failed.read,
        *([] if status is Status.OK else [*before, _retry(jobs.queue, first)]),
        status=status,
        value=count,
        unit="jobs",
        rows=[_group_row(target, group, failed) for group in groups[:_MOST_ROWS]],
    )


def _children(target: Target, groups: Sequence[Failure]) -> tuple[Remedy, ...]:
    """Return remedies for the queues of failed children, named as `child bull:emails:7 failed`."""
    named = [match for group in groups if (match := FAILED_CHILD.search(group.example))]
    prefix = f"{Queues.of(target).prefix}:"
    children = dict.fromkeys(
        match["key"].removeprefix(prefix).rpartition(":")[0] for match in named
    )
    return tuple(
        Remedy.of("troubleshooting/failed_jobs", "shows why the children failed", queue=queue)
        for queue in [queue for queue in children if queue][:_MOST_NAMES]
    )


def _status(target: Target, jobs: int, failed: Failures) -> Status:
    """Return the status for so many failed jobs with one kind of cause."""
    if failed.rate.percent is None:
        return Status.WARN
    percent = failed.rate.percent * jobs / failed.read
    status = target.threshold("queue_failed_percent").judge(percent)
    return max(
        status, target.threshold("queue_kind_percent").judge(percent), key=lambda one: one.severity
    )


def _retry(queue: str, group: Failure) -> Remedy:
    reason: dict[str, Any] = {"reason": group.common} if group.common else {}
    return Remedy.of(
        "queues/retry_failed",
        "shows them; with --apply, once the cause is fixed, retries them",
        queue=queue,
        **reason,
    )


def _cause(group: Failure, places: Places) -> Cause:
    return cause_of(group.text, group.stack, places)


def _group_row(target: Target, group: Failure, failed: Failures) -> Row:
    return {
        "jobs": len(group.jobs),
        "reason": group.reason,
        "where": group.frame or None,
        "kind": _cause(group, Places.of(target)),
        "job names": ", ".join(sorted(filter(None, group.names))[:_MOST_NAMES]),
        "attempts": group.attempts,
        "first": f"{span((failed.now_ms - group.first_ms) / 1000)} ago",
        "last": f"{span((failed.now_ms - group.last_ms) / 1000)} ago",
        "newest": group.jobs[0],
    }
