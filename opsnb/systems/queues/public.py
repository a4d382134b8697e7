"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.queues.active import Active, active_jobs
from opsnb.systems.queues.backlog import counts, counts_of, dashboards, locked, queues_of, state_of
from opsnb.systems.queues.checks import depth, failures, oldest, pauses, running, state, workers
from opsnb.systems.queues.cleaning import clean_failed
from opsnb.systems.queues.connection import SYSTEM
from opsnb.systems.queues.failing import Failure, Failures, failures_of
from opsnb.systems.queues.jobs import Selection, failed_jobs, scan
from opsnb.systems.queues.levels import STATES
from opsnb.systems.queues.limiting import limit
from opsnb.systems.queues.metrics import processing, reasons, states, throughput, times
from opsnb.systems.queues.pace import Brakes, Durations, Flow, brakes, durations, flow
from opsnb.systems.queues.pausing import pause, resume
from opsnb.systems.queues.removing import remove_stuck, stuck
from opsnb.systems.queues.retrying import retry_failed

__all__ = [
    "STATES",
    "SYSTEM",
    "Active",
    "Brakes",
    "Durations",
    "Failure",
    "Failures",
    "Flow",
    "Selection",
    "active_jobs",
    "brakes",
    "clean_failed",
    "counts",
    "counts_of",
    "dashboards",
    "depth",
    "durations",
    "failed_jobs",
    "failures",
    "failures_of",
    "flow",
    "limit",
    "locked",
    "oldest",
    "pause",
    "pauses",
    "processing",
    "queues_of",
    "reasons",
    "remove_stuck",
    "resume",
    "retry_failed",
    "running",
    "scan",
    "state",
    "state_of",
    "states",
    "stuck",
    "throughput",
    "times",
    "workers",
]
