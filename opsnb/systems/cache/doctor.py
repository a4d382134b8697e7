"""What `opsnb doctor` checks of this system."""

from opsnb.checks.probe import Probe
from opsnb.systems.cache import checks

_DOWN = "Start Redis, or correct redis_url."

PROBES = (
    Probe(
        checks.ping,
        tried=lambda target: f"PING {target.describe()['redis']}",
        down=_DOWN,
        key="redis_url",
    ),
    Probe(
        checks.eviction,
        tried=lambda _: "INFO memory, maxmemory_policy",
        down=_DOWN,
        found="Give the queues a Redis of their own with maxmemory-policy noeviction. In one that "
        "is shared with a cache, that policy makes a full Redis refuse all writes.",
        key="redis_url",
    ),
)
