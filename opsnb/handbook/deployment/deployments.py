"""When a target was deployed, as the records of the deployment runbooks have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opsnb.config.target import Target
from opsnb.records.history import DEPLOY, ROLLBACK, results

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
    past = results(target, since - _LONGEST_S, (DEPLOY, ROLLBACK))
    found = [each for result in past if (each := _deployment(result)) and each.ended >= since]
    return sorted(found, key=lambda each: each.began)


def _deployment(result: dict[str, Any]) -> Deployment | None:
    """Return the deployment that a record tells of; None when it has changed nothing."""
    if not any(action.get("applied") for action in result.get("actions", [])):
        return None
    began, ended = (
        datetime.fromisoformat(result[key]).timestamp() for key in ("started", "finished")
    )
    return Deployment(result["runbook"], result["run_id"], began, ended)
