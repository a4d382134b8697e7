"""The drills: what is broken on the demo stack to practise on, and how that is found.

Each names a fault of the demo. The engineer is told the symptom alone; the diagnosis of that
symptom has to rank the fault's cause first, and what it links to has to fix it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from opsnb import commands
from opsnb.errors import UsageError, did_you_mean

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
            "Nobody has got an export since a while ago; the others work.",
            _LONG,
            "backlog.hung",
            _EXPORTS,
        ),
        Drill(
            "queue-paused",
            "No analysis comes out any more, and no error is to be seen.",
            _LONG,
            "backlog.paused",
            _ANALYSES,
        ),
        Drill(
            "worker-down",
            "Pages load, but nothing that was ordered ever arrives.",
            _LONG,
            "backlog.no_worker",
            _ANALYSES,
        ),
        Drill(
            "failing-jobs",
            "Users write that their analyses failed.",
            "troubleshooting/failed_jobs",
            "failures.defect",
            _ANALYSES,
        ),
        Drill(
            "cold-cache",
            "PostgreSQL has far more to do than usual, with as many users.",
            _MISSES,
            "misses.cold",
        ),
        Drill(
            "short-ttls",
            "Since today the cache is hardly ever of use.",
            _MISSES,
            "misses.expiring",
        ),
        Drill(
            "slow-statement",
            "Pages with statistics take a second, and the database's processors are busy.",
            _SLOW,
            "slowness.missing_index",
        ),
        Drill(
            "blocked-table",
            "Some requests never end; others are as quick as ever.",
            _SLOW,
            "slowness.blocked",
        ),
        Drill(
            "connection-flood",
            "Now and then a login to the database is refused.",
            _SLOW,
            "slowness.flooded",
        ),
        Drill(
            "memory-leak",
            "An alert says that the machine's memory goes down minute by minute.",
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
            "The log fills with errors that nobody has seen before; users notice nothing yet.",
            _ERRORS,
            "outage.disk_full",
        ),
        Drill(
            "bad-release",
            "Users get errors in place of their projects, others work.",
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
