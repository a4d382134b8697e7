"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.api.checks import (
    SYSTEM,
    client,
    health,
    is_untrusted,
    latency,
    p95,
    percentile,
    post,
    queue_names,
    queue_stats,
    wait_until_well,
)

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
