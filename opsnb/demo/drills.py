"""The drills: what is broken on the demo stack to practise on, and how that is found.

Each names a fault of the demo. The engineer is told the symptom alone; the diagnosis of that
symptom has to rank the fault's cause first, and what it links to has to fix it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from opsnb.errors import UsageError, did_you_mean
from opsnb.view import commands

ANY = "any"
"""In place of a drill's name: one that chance chooses, so that not even the name tells."""

_ANALYSES, _EXPORTS = {"queue": "ai-analysis"}, {"queue": "exports"}
_LONG = "troubleshooting/high_queue_length"
_SLOW = "troubleshooting/slow_queries"
_MISSES = "troubleshooting/high_cache_miss_rate"
_DOWN = "incidents/service_down"
_ERRORS = "incidents/high_error_rate"


@dataclass(frozen=True)
class Drill:
    """A fault to practise on."""

    name: str
    """That of the fault."""
    symptom: str
    """What an alert or a user says of it."""
    runbook: str
    """The diagnosis of that symptom."""
    cause: str
    """The finding that the diagnosis has to rank first."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the diagnosis, besides the target."""

    @property
    def id(self) -> str:
        """By which its records are known, in the place of a runbook's."""
        return f"drill/{self.name}"

    @property
    def command(self) -> str:
        """The line that runs the diagnosis."""
        return commands.run_on(self.runbook, "demo", self.parameters)


DRILLS: dict[str, Drill] = {
    drill.name: drill
    for drill in (
        Drill(
            "queue-backlog",
            "Analyses that took seconds come out many minutes late.",
            _LONG,
            "backlog.slow_jobs",
            _ANALYSES,
        ),
        Drill(
            "stuck-job",
            "No exports have arrived for a while; everything else works.",
            _LONG,
            "backlog.hung",
            _EXPORTS,
        ),
        Drill(
            "queue-paused",
            "Analyses no longer finish, and nothing reports an error.",
            _LONG,
            "backlog.paused",
            _ANALYSES,
        ),
        Drill(
            "worker-down",
            "Pages load, but the results that users ask for never arrive.",
            _LONG,
            "backlog.no_worker",
            _ANALYSES,
        ),
        Drill(
            "failing-jobs",
            "Users report that their analyses fail.",
            "troubleshooting/failed_jobs",
            "failures.defect",
            _ANALYSES,
        ),
        Drill(
            "cold-cache",
            "PostgreSQL has far more work than usual, with no more users.",
            _MISSES,
            "misses.cold",
        ),
        Drill(
            "short-ttls",
            "Since today almost every read misses the cache.",
            _MISSES,
            "misses.expiring",
        ),
        Drill(
            "slow-statement",
            "Pages with statistics take a second, and the database uses much CPU.",
            _SLOW,
            "slowness.missing_index",
        ),
        Drill(
            "blocked-table",
            "Some requests never finish; others are as fast as ever.",
            _SLOW,
            "slowness.blocked",
        ),
        Drill(
            "connection-flood",
            "The database refuses some logins.",
            _SLOW,
            "slowness.flooded",
        ),
        Drill(
            "memory-leak",
            "An alert: the machine has less free memory every minute.",
            "troubleshooting/memory",
            "memory.leaking",
        ),
        Drill(
            "api-slow",
            "Everything works, and every click takes more than a second.",
            "incidents/performance_degradation",
            "degradation.api_itself",
        ),
        Drill(
            "full-disk",
            "The log fills with new errors; users notice nothing yet.",
            _ERRORS,
            "outage.disk_full",
        ),
        Drill(
            "bad-release",
            "Some users get errors instead of their projects.",
            _ERRORS,
            "errors.started",
        ),
        Drill(
            "inconsistent-rows",
            "A user has an analysis that is 5,000 per cent sure.",
            "incidents/data_inconsistency",
            "repair.integrity",
        ),
        Drill("api-down", "The site does not answer at all.", _DOWN, "outage.not_up"),
        Drill("redis-down", "Most requests are answered with an error.", _DOWN, "outage.redis"),
        Drill("redis-hang", "Most requests wait, then fail.", _DOWN, "outage.redis"),
        Drill("postgres-down", "Every page with data fails.", _DOWN, "outage.postgres"),
        Drill("postgres-hang", "Every page with data waits, then fails.", _DOWN, "outage.postgres"),
    )
}


def drill(name: str) -> Drill:
    """Return the drill `name`, or one by chance for `any`. Raises UsageError."""
    if name == ANY:
        return random.choice(list(DRILLS.values()))
    if name not in DRILLS:
        known = did_you_mean(name, [*DRILLS, ANY])
        raise UsageError(f"There is no drill '{name}'.{known} See them with: opsnb drill list")
    return DRILLS[name]
