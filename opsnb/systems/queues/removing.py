"""Stuck jobs: active, without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opsnb.actions.action import Permit, Plan, action
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import Refused, UsageError
from opsnb.model import ActionRecord, Finding, Remedy, Status
from opsnb.params.spans import spelled
from opsnb.systems.queues import connection, layout, scripts
from opsnb.systems.queues.active import Active, active_jobs, read_active
from opsnb.systems.queues.connection import SYSTEM, Queue, reading, writing
from opsnb.view.formats import and_list, counted, span

_SAMPLE = 20


def _removes(_: Target, finding: Finding) -> list[Remedy]:
    given = finding.arguments
    # What was left to the target's own limit is left to it there, too.
    limit = given.get("longer_than_min")
    own: dict[str, Any] = {"longer_than": spelled(limit, "m")} if limit else {}
    return [
        Remedy.of(
            "queues/remove_stuck",
            "shows them; with --apply removes them",
            queue=given["queue"],
            **own,
        )
    ]


@check(needs=(SYSTEM,), treated_by=_removes)
def stuck(target: Target, queue: str, longer_than_min: float | None = None) -> Finding:
    """Stuck jobs"""
    longer_than_min = target.limit("queue_stuck_minutes", longer_than_min)
    active = active_jobs(target, queue)
    stuck_jobs = [job for job in active if job.is_stuck(longer_than_min)]
    limit = span(longer_than_min * 60)
    long = sum(job.age_s > longer_than_min * 60 for job in active)
    if stuck_jobs:
        message = (
            f"Stuck for over {limit}: {len(stuck_jobs)} of {len(active)} active jobs of {queue}."
        )
    else:
        message = f"No job of {queue} is stuck ({len(active)} active)"
        message += f"; {long} have run for over {limit} and still have a worker." if long else "."
    return Finding(
        status=Status.WARN if stuck_jobs else Status.OK,
        message=message,
        value=len(stuck_jobs),
        unit="jobs",
        rows=[job.row() for job in stuck_jobs or active][:_SAMPLE],
    )


@action(needs=(SYSTEM,))
def remove_stuck(
    target: Target,
    former: ActionRecord | None,
    queue: str,
    longer_than_min: float | None = None,
    job: str = "",
) -> Plan:
    """Remove stuck jobs.

    Those that have been active for more than `longer_than_min` minutes without a worker: their lock
    has expired. Only `job` (an id) if given. Their children stay. Refused where the version of
    BullMQ is not known. Raises UsageError for an unknown queue and for a job that does not exist or
    is not active, Refused for one that has a worker.
    """
    longer_than_min = target.limit("queue_stuck_minutes", longer_than_min)
    with reading(target) as session:
        known = session.run(connection.known(session, queue))
        active = session.run(read_active(known))
        refusal = session.run(layout.refusal(known))
        server = session.run(connection.identity(session))
        if former:
            planned = set(former.terms["jobs"])
            active = [one for one in active if one.id in planned]
        elif job:
            active = [one for one in active if one.id == job]
            _demand_stuck(known, job, active, longer_than_min)
    stuck_now = [one for one in active if one.is_stuck(longer_than_min)]
    found = [one for one in stuck_now if job or not one.may_run]
    unsure = [one for one in stuck_now if one.may_run]
    limit = span(longer_than_min * 60)
    skipped: list[str] = []

    def work(permit: Permit) -> Iterator[int]:
        with writing(target, permit) as session:
            at, done, keys = session.queue(queue), 0, ("meta", "active", "repeat")
            for one in found:
                arguments = [at[""], one.id, one.since_ms or ""]
                answer = session.run(layout.run(at, scripts.REMOVE_STUCK, keys, arguments))
                if answer == scripts.DONE:
                    done += 1
                else:
                    skipped.append(one.id)
                yield done

    def verify() -> list[Finding]:
        with reading(target) as session:
            now = session.run(read_active(session.queue(queue)))
        stuck_now = [
            one.id
            for one in now
            if one.is_stuck(longer_than_min) and (job == one.id or not (job or one.may_run))
        ]
        left = [one.id for one in found if one.id in stuck_now]
        status, words = Status.OK, f"No job of {queue} is stuck ({len(now)} active)."
        if left:
            status = Status.CRIT
            words = f"{len(left)} still stuck: {and_list(left[:5])}."
        elif stuck_now:  # the plan is done; the check of stuck jobs judges these
            words = f"None of these is active any more; {len(stuck_now)} more have become stuck: "
            words += f"{and_list(stuck_now[:5])}."
        elif job:
            words = f"Job {job} of {queue} is no longer stuck."
        elif open_now := sum(one.is_stuck(longer_than_min) and one.may_run for one in now):
            words += f" {open_now} without a lock, which a worker may be running."
        if skipped:
            words += f" Skipped, with a worker or no longer active: {counted(len(skipped), 'job')}."
        return [Finding(status=status, message=words)]

    return Plan(
        summary=f"Remove {counted(len(found), 'job')} of {queue}, active for over {limit} without "
        "a worker."
        if found
        else f"no active job of {queue} is stuck (active for over {limit}, without a worker).",
        planned=len(found),
        unit="jobs",
        command="const stuckJob = await queue.getJob('job-id'); await stuckJob.remove()",
        undo="",
        work=work,
        verify=verify,
        sample=[one.row() for one in found][:_SAMPLE],
        basis=(server, queue, job),
        warning=" ".join(filter(None, (_warning(found), _unsure(unsure, job)))),
        refusal=refusal,
        terms=former.terms if former else {"jobs": [one.id for one in found]},
    )


def _demand_stuck(queue: Queue, job: str, active: list[Active], longer_than_min: float) -> None:
    """Raise UsageError or Refused unless the named job is stuck."""
    if not active:
        state = queue.run(queue.bullmq.getJobState(job))
        if state == "unknown":
            raise UsageError(
                f"There is no job '{job}' in {queue.name}; list them with queues/monitor."
            )
        raise UsageError(f"Job {job} of {queue.name} is {state}, not active: it is not stuck.")
    one = active[0]
    if not one.is_abandoned:
        raise Refused(
            f"Refused, nothing changed: a worker is running job {job} of {queue.name} "
            f"({one.evidence}). Wait until it ends, or stop its worker first."
        )
    if not one.is_stuck(longer_than_min):
        since = f"has been active for only {span(one.age_s)}" if one.since_ms else "may be new"
        raise Refused(
            f"Refused, nothing changed: job {job} of {queue.name} {since}. BullMQ gives such a job "
            "to another worker itself. Wait, or lower longer_than."
        )


def _unsure(unsure: list[Active], job: str) -> str:
    """Return a warning about jobs that a worker may be running without a lock."""
    if not unsure:
        return ""
    why = (
        "a worker has been connected since before they started, and BullMQ has not returned them, "
        "so it may be running them without renewing their locks (skipLockRenewal)"
    )
    if job:
        return f"First make sure that no worker is running it: {why}."
    return (
        f"{len(unsure)} more stay ({and_list(one.id for one in unsure[:3])}): {why}. "
        f"Make sure that none is, then name a job: -p job={unsure[0].id}"
    )


def _warning(jobs: list[Active]) -> str:
    if not jobs:
        return ""
    words = "Their unfinished work is lost; what they have done stays done."
    parents = sorted({one.parent for one in jobs if one.parent})
    if parents:
        words += (
            f" {counted(len(parents), 'parent')} waiting for them ({and_list(parents[:3])}) will "
            "start without them, if nothing else holds them."
        )
    return words
