"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.api.checks import health, latency, p95, percentile, wait_until_well
from opsnb.systems.api.connecting import SYSTEM, client, is_untrusted
from opsnb.systems.api.reported_queues import queue_names, queue_stats
from opsnb.systems.api.responses import post

__all__ = [
    "SYSTEM",
    "client",
    "health",
    "is_untrusted",
    "latency",
    "p95",
    "percentile",
    "post",
    "queue_names",
    "queue_stats",
    "wait_until_well",
]
