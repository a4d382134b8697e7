"""When a target was deployed, as the records of the deployment runbooks have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from opsnb.config.target import Target
from opsnb.records.readings import Readings

DEPLOY, ROLLBACK = "deployment/deploy", "deployment/rollback"
_LONGEST_S = 6 * 3600.0  # that a deployment may have been under way


@dataclass(frozen=True)
class Deployment:
    """One that changed something."""

    runbook: str
    run_id: str
    began: float
    """In seconds since 1970, as `ended`."""
    ended: float

    @property
    def is_rollback(self) -> bool:
        """Whether it went back."""
        return self.runbook == ROLLBACK


def deployments(target: Target, since: float) -> list[Deployment]:
    """Return the deployments and rollbacks that ended after `since`, the oldest first.

    Records that cannot be read are passed over: without them nothing is known of a deployment.
    """
    earliest = datetime.fromtimestamp(since - _LONGEST_S, UTC)
    past = Readings(target, earliest, (DEPLOY, ROLLBACK)).runs()
    found = [
        Deployment(run.runbook, run.run_id, run.started.timestamp(), run.finished.timestamp())
        for run in past
        if run.changed and run.finished.timestamp() >= since
    ]
    return sorted(found, key=lambda each: each.began)
