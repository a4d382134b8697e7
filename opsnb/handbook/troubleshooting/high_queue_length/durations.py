"""How long the jobs of a queue take, and which of them hang."""

from __future__ import annotations

import math

from opsnb.systems.queues import Active, Durations
from opsnb.view.formats import span

_HANGS = 50.0  # times the duration that 95 % of jobs stay below
_LEAST_HANGS_S = 20.0  # a job that usually takes milliseconds may wait for a lock or a retry


def hangs(job: Active, times: Durations, longer_than_min: float) -> bool:
    """Whether `job` runs far longer than almost all others, or than a limit when none completed."""
    usual_s = times.usual_long_s
    if usual_s is None:  # no completed job shows how long they take
        return job.age_s > longer_than_min * 60
    return job.age_s > max(_LEAST_HANGS_S, _HANGS * usual_s)


def running_s(times: Durations) -> float | None:
    """Return how long the longest job runs, in s, of those that do not hang; None without any."""
    ages = (job.age_s for job in times.running if not hangs(job, times, math.inf))
    return max(ages, default=None)


def all_hang(times: Durations) -> bool:
    """Whether every running job hangs."""
    return bool(times.running) and running_s(times) is None


def usual(times: Durations) -> str:
    """Return how long jobs usually take, in words."""
    if times.usual_s is None:
        return "no completed job shows how long they usually take"
    return f"{short(times.usual_s)} is usual"


def short(seconds: float | None) -> str:
    """Return a duration in words; None is unknown."""
    return "unknown" if seconds is None else span(seconds)
