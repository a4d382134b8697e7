"""How fast a queue works, and why its jobs fail, by the times in its jobs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.redaction.outside import first_line, pattern
from opsnb.systems.percentiles import percentile
from opsnb.systems.queues import connection
from opsnb.systems.queues.backlog import counts_of, each_queue
from opsnb.systems.queues.connection import SYSTEM, Queue, reading
from opsnb.systems.queues.values import read_fields, whole
from opsnb.view.formats import counted, span

_REASON_BYTES = 1000
_BARS = 12  # of the chart of throughput
_MOST_REASONS = 15
_LABEL = 40  # of a reason beside its bar
_PERCENTS = (50, 95, 99)
_STEPS_S = (1, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 86400)


@dataclass(frozen=True)
class Ended:
    """The times of a job that has run, in ms."""

    added: int
    taken: int
    ended: int
    delay: int
    attempts: int
    reason: str

    @property
    def waited_ms(self) -> int | None:
        """The wait of a job that was ready; None, unknown, if it ran before."""
        if self.attempts > 1:
            return None
        return max(0, self.taken - self.added - self.delay)

    @property
    def worked_ms(self) -> int:
        """From its start to its end."""
        return max(0, self.ended - self.taken)


@check(needs=(SYSTEM,))
def states(target: Target, queue: str) -> Finding:
    """Jobs by state"""
    row = counts_of(target, queue, with_workers=False)
    waiting = row["waiting"] - row["prioritized"]
    rows: list[Row] = [
        {"state": name, "jobs": jobs}
        for name, jobs in (
            ("waiting", waiting),
            ("prioritized", row["prioritized"]),
            ("active", row["active"]),
            ("delayed", row["delayed"]),
            ("waiting for children", row["waiting_children"]),
            ("completed", row["completed"]),
            ("failed", row["failed"]),
        )
    ]
    total = row["total"]
    message = (
        f"{queue}: {row['waiting']} waiting, {row['active']} active, "
        f"{row['completed']} completed, {row['failed']} failed, "
        f"{row['delayed']} delayed, {total} in total."
    )
    return Finding(status=Status.OK, message=message, value=total, unit="jobs", rows=rows)


@check(needs=(SYSTEM,))
def throughput(target: Target, queue: str, newest: int = 1000) -> Finding:
    """Throughput.

    Of the `newest` completed and the `newest` failed jobs in Redis, those that ended in the time
    that both cover.
    """
    completed, failed, now_s = newest_ended(target, queue, newest)
    if not completed and not failed:
        message = f"Redis keeps no finished job of {queue}, so there is no throughput to show."
        return Finding(status=Status.OK, message=message)
    full = [jobs[-1].ended / 1000 for jobs in (completed, failed) if len(jobs) == newest]
    oldest = min(jobs[-1].ended / 1000 for jobs in (completed, failed) if jobs)
    begins = max(full, default=oldest)
    window_s = max(1.0, now_s - begins)
    step_s = next((step for step in _STEPS_S if window_s / step <= _BARS), _STEPS_S[-1])
    rows: list[Row] = []
    ends = now_s
    while ends > begins and len(rows) < _BARS:
        rows.append(
            {
                "until": _moment(ends, step_s),
                "completed": _within(completed, ends - step_s, ends),
                "failed": _within(failed, ends - step_s, ends),
            }
        )
        ends -= step_s
    done = _within(completed, begins - 1, now_s)
    lost = _within(failed, begins - 1, now_s)
    per_minute = round(60 * done / window_s, 1)
    message = (
        f"Queue {queue}: {per_minute:g} jobs a minute completed in the last {span(window_s)} "
        f"({done} completed, {lost} failed)."
    )
    return Finding(status=Status.OK, message=message, value=per_minute, unit="jobs/min", rows=rows)


@check(needs=(SYSTEM,))
def times(target: Target, queue: str, newest: int = 1000) -> Finding:
    """Wait and processing times.

    Of the `newest` completed jobs. A job that ran more than once counts with its last run, and not
    for the wait, because the time at which it was ready is unknown. A delay on purpose is no wait.
    """
    completed, _, _ = newest_ended(target, queue, newest)
    if not completed:
        message = f"Redis keeps no completed job of {queue}, so there are no times to show."
        return Finding(status=Status.OK, message=message)
    waits = [float(job.waited_ms) for job in completed if job.waited_ms is not None]
    worked = [float(job.worked_ms) for job in completed]
    rows: list[Row] = [
        {
            "time": f"{name} p{percent}",
            "ms": round(percentile(values, percent), 1),
            "jobs": len(values),
        }
        for name, values in (("wait", waits), ("processing", worked))
        for percent in _PERCENTS
        if values
    ]
    words = ", ".join(f"{row['time']} {span(row['ms'] / 1000)}" for row in rows)
    message = f"{words[:1].upper()}{words[1:]}, over {len(completed)} jobs."
    return Finding(
        status=Status.OK,
        message=message,
        value=round(percentile(worked, 95), 1),
        unit="ms",
        rows=rows,
    )


@check(needs=(SYSTEM,))
def processing(target: Target, newest: int = 200) -> Finding:
    """Processing time of the queues

    Of the `newest` completed jobs of each.
    """

    async def read(queue: Queue) -> Row:
        completed = await _newest(queue, "completed", newest)
        worked = [float(job.worked_ms) for job in completed]
        shares = {
            f"p{percent}_ms": round(percentile(worked, percent), 1)
            for percent in (50, 95)
            if worked
        }
        return {"queue": queue.name, "jobs": len(worked), **shares}

    with reading(target) as session:
        rows = [row for row in session.run(each_queue(session, read)) if row["jobs"]]
    if not rows:
        message = "Redis keeps no completed job of any queue, so there are no times to show."
        return Finding(status=Status.OK, message=message)
    slowest = max(rows, key=lambda row: float(row["p95_ms"]))
    return Finding(
        status=Status.OK,
        message=f"The slowest is {slowest['queue']}: p50 {span(slowest['p50_ms'] / 1000)}, p95 "
        f"{span(slowest['p95_ms'] / 1000)} over {slowest['jobs']} jobs.",
        value=slowest["p95_ms"],
        unit="ms",
        rows=rows,
    )


@check(needs=(SYSTEM,))
def reasons(target: Target, queue: str, newest: int = 1000) -> Finding:
    """Failures by reason.

    Of the `newest` failed jobs, without what differs from job to job (numbers, ids, quotes).
    """
    _, failed, now_s = newest_ended(target, queue, newest)
    if not failed:
        return Finding(status=Status.OK, message=f"{queue} has no failed job.")
    groups = Counter(_alike(job) for job in failed)
    latest: dict[str, Ended] = {}
    for job in failed:
        latest.setdefault(_alike(job), job)
    common = groups.most_common(_MOST_REASONS)
    labels = _labels([reason for reason, _ in common])
    rows: list[Row] = [
        {
            "reason": label,
            "jobs": number,
            "last": f"{span(now_s - latest[reason].ended / 1000)} ago",
            "example": first_line(latest[reason].reason),
        }
        for label, (reason, number) in zip(labels, common, strict=True)
    ]
    first, number = common[0]
    message = f"{number} of the newest {len(failed)} failed jobs of {queue}: {first.rstrip('.')}"
    if len(groups) > 1:
        message += f"; {counted(len(groups) - 1, 'other reason')}"
    return Finding(
        status=Status.OK, message=message + ".", value=len(groups), unit="reasons", rows=rows
    )


def _alike(job: Ended) -> str:
    return first_line(pattern(job.reason)) or "(no reason)"


def _labels(reasons: list[str]) -> list[str]:
    """Return the reasons cut to fit beside a bar, each different from the others."""
    cut = [first_line(reason, _LABEL) for reason in reasons]
    return [
        label if cut.index(label) == place else f"{label} ({place + 1})"
        for place, label in enumerate(cut)
    ]


def newest_ended(target: Target, queue: str, newest: int) -> tuple[list[Ended], list[Ended], float]:
    """Return the newest completed and failed jobs, newest first, and the server's time in s."""
    with reading(target) as session:
        return session.run(read_ended(session.run(connection.known(session, queue)), newest))


async def read_ended(queue: Queue, newest: int) -> tuple[list[Ended], list[Ended], float]:
    """Return the newest completed and failed jobs, newest first, and the server's time in s."""
    completed = await _newest(queue, "completed", newest)
    failed = await _newest(queue, "failed", newest)
    return completed, failed, await connection.server_ms(queue.session) / 1000


async def _newest(queue: Queue, state: str, newest: int) -> list[Ended]:
    fields = ["timestamp", "processedOn", "finishedOn", "delay", "ats", "attemptsMade"]
    if state == "failed":
        fields.append("failedReason")
    ids = await queue.client.zrevrange(queue[state], 0, newest - 1)
    jobs = []
    for stamps in await read_fields(queue, ids, fields, most=_REASON_BYTES):
        added, taken, ended, delay, started, made = map(whole, stamps[:6])
        if added and taken and ended:
            reason = (stamps[6] or "") if state == "failed" else ""
            jobs.append(Ended(added, taken, ended, delay, started or made, reason))
    return jobs


def _moment(at_s: float, step_s: float) -> str:
    """Return the time of day in UTC, as precise as steps of `step_s` need."""
    if step_s < 60:
        return f"{datetime.fromtimestamp(at_s, UTC):%T}"
    if step_s < 3600:
        return f"{datetime.fromtimestamp(at_s, UTC):%H:%M}"
    return f"{datetime.fromtimestamp(at_s, UTC):%d %b %H:%M}"


def _within(jobs: list[Ended], after_s: float, until_s: float) -> int:
    return sum(after_s < job.ended / 1000 <= until_s for job in jobs)
