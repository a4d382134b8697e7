"""Remove jobs that are stuck: active, and nobody works on them."""

from __future__ import annotations

from collections.abc import Iterator

from opsnb.actions.action import Permit, Plan, action
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import Refused, UsageError
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems.queues import connection, layout, scripts
from opsnb.systems.queues.active import Active, active_jobs, read_active
from opsnb.systems.queues.connection import SYSTEM, Session, reading, writing
from opsnb.view.formats import and_list, counted, span

_SAMPLE = 20


@check(
    needs=(SYSTEM,),
    treated_by=treated_by(
        "queues/remove_stuck",
        "shows them; with --apply removes them",
        queue="{queue}",
        longer_than="{longer_than_min:g}m",
    ),
)
def stuck(target: Target, queue: str, longer_than_min: float = 30) -> Finding:
    """Stuck jobs"""
    active = active_jobs(target, queue)
    found = [job for job in active if job.is_stuck(longer_than_min)]
    limit = span(longer_than_min * 60)
    long = sum(job.age_s > longer_than_min * 60 for job in active)
    if found:
        message = f"Of {len(active)} active jobs of {queue}, stuck for over {limit}: {len(found)}."
    else:
        message = f"No job of {queue} is stuck ({len(active)} active)"
        message += f"; {long} run for over {limit} and are still being worked on." if long else "."
    return Finding(
        status=Status.WARN if found else Status.OK,
        message=message,
        value=len(found),
        unit="jobs",
        rows=[job.row() for job in found or active][:_SAMPLE],
    )


@action(needs=(SYSTEM,))
def remove_stuck(
    target: Target,
    former: ActionRecord | None,
    queue: str,
    longer_than_min: float = 30,
    job: str = "",
) -> Plan:
    """Remove stuck jobs.

    Those that are active for more than `longer_than_min` minutes and that nobody works on: their
    lock has expired. Only `job` (an id) where one is given. Their children stay. It is refused
    where the version of BullMQ is not known. Raises UsageError for an unknown queue, a job that is
    not there or not active, and Refused for one that is being worked on.
    """
    with reading(target) as session:
        active = session.run(read_active(session, queue))
        refusal = session.run(layout.refusal(session, session.queue(queue)))
        server = session.run(connection.identity(session))
        if former:
            meant = set(former.terms["jobs"])
            active = [one for one in active if one.id in meant]
        elif job:
            active = [one for one in active if one.id == job]
            _demand_stuck(session, queue, job, active, longer_than_min)
    stuck_now = [one for one in active if one.is_stuck(longer_than_min)]
    found = [one for one in stuck_now if job or not one.may_run]
    unsure = [one for one in stuck_now if one.may_run]
    limit = span(longer_than_min * 60)
    skipped: list[str] = []

    def work(permit: Permit) -> Iterator[int]:
        with writing(target, permit) as session:
            at, done = session.queue(queue), 0
            keys = [at.keys["meta"], at.keys["active"], at.keys["repeat"]]
            for one in found:
                arguments = [at.keys[""], one.id, one.since_ms or ""]
                answer = session.run(layout.run(session, scripts.REMOVE_STUCK, keys, arguments))
                if answer == scripts.DONE:
                    done += 1
                else:
                    skipped.append(one.id)
                yield done

    def verify() -> list[Finding]:
        with reading(target) as session:
            now = session.run(read_active(session, queue))
        stuck_now = [
            one.id
            for one in now
            if one.is_stuck(longer_than_min) and (job == one.id or not (job or one.may_run))
        ]
        left = [one.id for one in found if one.id in stuck_now]
        status, words = Status.OK, f"No job of {queue} is stuck ({len(now)} active)."
        if left:
            status = Status.CRIT
            words = f"{len(left)} are still stuck: {and_list(left[:5])}."
        elif stuck_now:  # what was planned is done; the check on stuck jobs judges these
            words = f"None of these is active any more; {len(stuck_now)} more are stuck since: "
            words += f"{and_list(stuck_now[:5])}."
        elif job:
            words = f"Job {job} of {queue} is not stuck any more."
        elif open_now := sum(one.is_stuck(longer_than_min) and one.may_run for one in now):
            words += f" Without a lock, and maybe run by a worker: {open_now}."
        if skipped:
            words += f" {len(skipped)} had a worker or had left meanwhile, and were left alone."
        return [Finding(status=status, message=words)]

    return Plan(
        summary=f"Remove {counted(len(found), 'active job')} of {queue}: active for over {limit}, "
        "and no worker works on them."
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


def _demand_stuck(
    session: Session, queue: str, job: str, active: list[Active], longer_than_min: float
) -> None:
    """Raise UsageError or Refused unless the one job that was named is stuck."""
    if not active:
        state = session.run(session.queue(queue).getJobState(job))
        if state == "unknown":
            raise UsageError(f"There is no job '{job}' in {queue}; look with queues/monitor.")
        raise UsageError(f"Job {job} of {queue} is {state}, not active: it is not stuck.")
    one = active[0]
    if not one.is_abandoned:
        raise Refused(
            f"Job {job} of {queue} is being worked on ({one.evidence}): nothing was changed. "
            "Wait until it ends, or end its worker first."
        )
    if not one.is_stuck(longer_than_min):
        since = f"is active for {span(one.age_s)} only" if one.since_ms else "may just be taken"
        raise Refused(
            f"Job {job} of {queue} {since}: nothing was changed. "
            "BullMQ gives such a job to another worker by itself; wait, or lower longer_than."
        )


def _unsure(unsure: list[Active], job: str) -> str:
    """Return what must be known of jobs that a worker may be at without a lock."""
    if not unsure:
        return ""
    why = (
        "a worker that was connected when they were taken still is, and BullMQ has not given them "
        "back, so it may run them without renewing their locks (skipLockRenewal)"
    )
    if job:
        return f"Make sure first that no worker runs it: {why}."
    return (
        f"{len(unsure)} more are left alone ({and_list(one.id for one in unsure[:3])}): {why}. "
        f"Make sure, then name one: -p job={unsure[0].id}"
    )


def _warning(found: list[Active]) -> str:
    if not found:
        return ""
    words = "What they had begun is lost; what they had done already stays done."
    parents = sorted({one.parent for one in found if one.parent})
    if parents:
        words += (
            f" {len(parents)} parents wait for them ({and_list(parents[:3])}) and start without "
            "them, when nothing else holds them."
        )
    return words
