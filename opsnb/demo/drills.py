"""The drills: faults of the demo stack to practise on, and the diagnosis that finds each.

The engineer sees only the symptom. The diagnosis of that symptom has to rank the fault's cause
first, and the runbook of its `Next:` has to fix it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from opsnb.config.sources import own_faults
from opsnb.errors import UsageError, did_you_mean
from opsnb.view import commands

ANY = "any"
"""In place of a drill's name: a random one, so that the name gives nothing away."""

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
    """The name of the fault."""
    symptom: str
    """What an alert or a user reports."""
    runbook: str
    """The runbook that diagnoses the symptom."""
    cause: str
    """The finding that the diagnosis has to rank first."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the diagnosis, besides the target."""

    @property
    def id(self) -> str:
        """The id in its records, in place of a runbook's."""
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
            "Analyses that usually take seconds arrive many minutes late.",
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
            "PostgreSQL has far more work than usual, but no more users.",
            _MISSES,
            "misses.cold",
        ),
        Drill(
            "short-ttls",
            "Since this morning, almost every read misses the cache.",
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
            "Some requests never finish; others are as fast as usual.",
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
            "An alert says that the machine has less free memory every minute.",
            "troubleshooting/memory",
            "memory.leaking",
        ),
        Drill(
            "api-slow",
            "Everything works, but every click takes more than a second.",
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
            "A user sees an analysis with a confidence of 5,000 %.",
            "incidents/data_inconsistency",
            "repair.integrity",
        ),
        Drill("api-down", "The site does not respond at all.", _DOWN, "outage.not_up"),
        Drill("redis-down", "Most requests fail with an error.", _DOWN, "outage.redis"),
        Drill("redis-hang", "Most requests wait, then fail.", _DOWN, "outage.redis"),
        Drill("postgres-down", "Every page with data fails.", _DOWN, "outage.postgres"),
        Drill("postgres-hang", "Every page with data waits, then fails.", _DOWN, "outage.postgres"),
    )
}


def all_drills() -> dict[str, Drill]:
    """Return the drills by name, with those that `[runbooks] faults` in `opsnb.toml` adds."""
    own = (drill for module in own_faults() for drill in module.DRILLS)
    return DRILLS | {drill.name: drill for drill in own}


def drill(name: str) -> Drill:
    """Return the drill `name`, or a random one for `any`. Raises UsageError."""
    drills = all_drills()
    if name == ANY:
        return random.choice(list(drills.values()))
    if name not in drills:
        known = did_you_mean(name, [*drills, ANY])
        raise UsageError(f"There is no drill '{name}'.{known} See them with: opsnb drill list")
    return drills[name]
