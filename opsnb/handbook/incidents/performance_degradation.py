"""Why everything is slow: the machine, the database, the cache, the queues, or the API itself.

Handbook, section 6.3. The systems' own checks, taken as causes of one symptom: how much of it each
can explain, and which runbook comes next.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

from opsnb.checks.causes import likely, ruled_out
from opsnb.checks.check import Check, check, treated_by
from opsnb.config.target import Target
from opsnb.errors import NotConfigured, ServiceError
from opsnb.handbook.troubleshooting import slow_queries
from opsnb.model import Finding, Remedy, Status, worst
from opsnb.systems import api, cache, database, host, processes, queues
from opsnb.systems.processes.settings import Processes
from opsnb.systems.queues.pause_state import since_words
from opsnb.view.formats import counted

RECORDED_AS = "degradation"
_PINGS = 5
_WATCHED_S = 2.0


@check(needs=(host.SYSTEM,), is_cause=True)
def load(target: Target) -> Finding:
    """Machine busy

    Load counts every process of the machine; a container with a CPU limit is judged by its limit.
    """
    (row,) = host.reachable(target).rows
    if row["limit_cores"]:
        return host.cpu(target)
    per_core = row["load_1m"] / row["cores"]
    before = row["load_15m"] / row["cores"]
    message = (
        f"{per_core:.1f} processes are ready to run for each of {row['cores']} cores; over the "
        f"last 15 minutes it was {before:.1f}."
    )
    status = target.threshold("load_per_core").judge(per_core)
    return Finding(status=status, message=message, value=round(per_core, 2), rows=[row])


@check(needs=(api.SYSTEM, cache.SYSTEM, database.SYSTEM), limit_s=30.0, is_cause=True)
def api_itself(target: Target) -> Finding:
    """API itself slow"""
    finding = api.latency(target)
    pings = {"Redis": cache.ping, "PostgreSQL": database.ping}
    asked = {name: _ping_ms(ping, target) for name, ping in pings.items()}
    known = {name: ms for name, ms in asked.items() if ms is not None}
    said = ", ".join(
        f"{name} {'is down' if ms == math.inf else f'{ms:.1f} ms'}" for name, ms in known.items()
    )
    message = f"{finding.message} Its dependencies: {said}." if said else finding.message
    quick_ms = target.limit("redis_ping_ms")
    if finding.status is Status.OK or any(ms > quick_ms for ms in known.values()):
        return ruled_out(message)
    names = _process_names(target)
    return likely(
        message,
        0.5,
        *(Remedy.of("incidents/service_down", f"restarts {name}", process=name) for name in names),
        Remedy.of(
            "incidents/high_error_rate", "shows whether a deployment or a restart preceded it"
        ),
        status=finding.status,
        value=finding.value,
        unit=finding.unit,
    )


def _ping_ms(ping: Check[[]], target: Target) -> float | None:
    """Return the median response time in ms; inf when it is down, None when not configured."""
    try:
        return statistics.median(ping(target).value or 0.0 for _ in range(_PINGS))
    except NotConfigured:
        return None
    except ServiceError:
        return math.inf


def _process_names(target: Target) -> list[str]:
    try:
        return list(processes.groups_of(processes.listed(target), Processes.of(target)))
    except (ServiceError, processes.DaemonGone):
        return []


RESOURCES: tuple[Check[[]], ...] = (
    load.as_cause(
        "Machine busy",
        0.4,
        treated_by("troubleshooting/memory", "shows the processes that work most"),
    ),
    host.memory.as_cause(
        "Memory shortage", 0.7, treated_by("troubleshooting/memory", "shows what uses it")
    ),
    host.disk.as_cause("Disk almost full", 0.6),
)
"""Of the machine."""


DATABASE: tuple[Check[[]], ...] = (
    database.blocking.given().as_cause("Blocking session", 0.9),
    database.connections.as_cause(
        "Connections exhausted", 0.8, treated_by("database/connections", "shows who holds them")
    ),
    database.long_queries.given().as_cause(
        "Long-running queries", 0.75, treated_by("database/connections", "ends them, with --apply")
    ),
    # What is slow now: an average since the last reset covers days.
    slow_queries.pace.given(_WATCHED_S).as_cause(
        "Slow statements", 0.65, treated_by("troubleshooting/slow_queries", "explains the worst")
    ),
)
"""Of PostgreSQL."""


CACHE: tuple[Check[[]], ...] = (
    cache.hit_rate.given(_WATCHED_S).as_cause(
        "Low cache hit rate",
        0.55,
        treated_by("troubleshooting/high_cache_miss_rate", "shows why it misses"),
    ),
    cache.memory.as_cause(
        "Redis memory full", 0.6, treated_by("cache/key_patterns", "shows which keys take it")
    ),
    cache.evictions.given().as_cause(
        "Evicted keys", 0.55, treated_by("cache/key_patterns", "shows which keys take it")
    ),
    cache.latency.as_cause(
        "Slow Redis", 0.5, treated_by("cache/performance", "shows the slow commands")
    ),
)
"""Of Redis as a cache."""


def _pauses(target: Target) -> Finding:
    """Return the pauses, with the status of the longest queue that they explain."""
    finding = queues.pauses.function(target)
    paused = {row["queue"] for row in finding.rows}
    limit = target.threshold("queue_waiting")
    lengths = [
        limit.judge(row["waiting"])
        for row in (queues.depth.function(target).rows if paused else [])
        if row["queue"] in paused
    ]
    if not finding.rows:
        return finding
    # The title of the cause says already that it is paused.
    message = "; ".join(f"{row['queue']}{since_words(row)}" for row in finding.rows[:3])
    more = len(finding.rows) - 3
    message += f"; and {counted(more, 'other')}." if more > 0 else "."
    return finding.model_copy(
        update={"status": worst([finding.status, *lengths]), "message": message}
    )


QUEUES: tuple[Check[[]], ...] = (
    queues.depth.as_cause("Long queue", 0.6),
    queues.workers.as_cause(
        "Worker down", 0.85, treated_by("incidents/service_down", "starts what is down", apply=True)
    ),
    queues.failures.as_cause("Failing jobs", 0.3),
    replace(queues.pauses, function=_pauses).as_cause("Queue paused", 0.75),
)
"""Of BullMQ."""
