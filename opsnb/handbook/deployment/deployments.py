"""When a target was deployed, by the records of the deployment runbooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from opsnb.config.target import Target
from opsnb.model import RunResult
from opsnb.records.reader import past_runs

DEPLOY, ROLLBACK = "deployment/deploy", "deployment/rollback"
_LONGEST_S = 6 * 3600.0  # the longest that a deployment may take


@dataclass(frozen=True)
class Deployment:
    """A deployment or rollback that changed something."""

    runbook: str
    run_id: str
    began: float
    """In seconds since 1970, as `ended`."""
    ended: float

    @property
    def is_rollback(self) -> bool:
        """Whether it was a rollback."""
        return self.runbook == ROLLBACK


def deployments(target: Target, since: float) -> list[Deployment]:
    """Return the deployments and rollbacks that ended after `since`, the oldest first.

    Records that cannot be read are left out.
    """
    earliest = datetime.fromtimestamp(since - _LONGEST_S, UTC)
    past = past_runs(target, earliest, (DEPLOY, ROLLBACK))
    changed = [deployment for result in past if (deployment := _deployment(result))]
    return sorted((one for one in changed if one.ended >= since), key=lambda one: one.began)


def _deployment(result: RunResult) -> Deployment | None:
    """Return the deployment that a record reports; None when it changed nothing."""
    if not any(action.applied for action in result.actions):
        return None
    began, ended = result.started.timestamp(), result.finished.timestamp()
    return Deployment(result.runbook, result.run_id, began, ended)
