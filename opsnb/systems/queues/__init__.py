"""BullMQ queues, through its official Python client on the target's Redis."""

from opsnb.systems.queues.cleaning import clean_failed
from opsnb.systems.queues.connection import SYSTEM
from opsnb.systems.queues.counts import (
    STATES,
    counts,
    dashboards,
    depth,
    failures,
    oldest,
    pauses,
    queues_of,
    state,
    workers,
)
from opsnb.systems.queues.jobs import Selection, failed_jobs, scan
from opsnb.systems.queues.metrics import reasons, states, throughput, times
from opsnb.systems.queues.pausing import pause, resume
from opsnb.systems.queues.removing import remove_stuck, stuck
from opsnb.systems.queues.retrying import retry_failed

__all__ = [
    "STATES",
    "SYSTEM",
    "Selection",
    "clean_failed",
    "counts",
    "dashboards",
    "depth",
    "failed_jobs",
    "failures",
    "oldest",
    "pause",
    "pauses",
    "queues_of",
    "reasons",
    "remove_stuck",
    "resume",
    "retry_failed",
    "scan",
    "state",
    "states",
    "stuck",
    "throughput",
    "times",
    "workers",
]
