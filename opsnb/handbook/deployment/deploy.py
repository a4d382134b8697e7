"""Bring a release onto the host while the queues are held. Handbook, section 8.2."""

from __future__ import annotations

from opsnb.actions.action import Plan, action
from opsnb.actions.steps import words
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.handbook.deployment.changing import REASON, ReleaseChange, command
from opsnb.handbook.deployment.releases import DEPLOY, ROLLBACK, changes, unfinished_change
from opsnb.model import ActionRecord, Finding, Remedy, Status
from opsnb.systems import deploy, queues
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.queues.holding import held, left_by
from opsnb.view import commands

RECORDED_AS = "deploying"


@action(needs=(HOST, queues.SYSTEM))
def release(target: Target, former: ActionRecord | None, *, wait_s: float = 120) -> Plan:
    """Deploy the newest release.

    Pauses the queues and waits at most `wait_s` seconds for active jobs, migrates, fetches,
    installs, builds, restarts, runs the smoke test, and resumes the queues. A step
    that was done is not repeated by a run that continues. Raises NotConfigured when the target
    does not say how it is deployed, Refused when its working copy was changed by hand.
    """
    settings = Deploy.of(target)
    at = deploy.release(target)
    if former is None and (finding := deploy.clean(target)).status is not Status.OK:
        raise Refused(f"{finding.message} Commit or discard them first.")
    before = former.terms["before"] if former else _before(target, at)
    migrate = command(target, "migrate", settings.migrate)
    change = [
        command(target, "fetch", settings.fetch),
        command(target, "install", settings.install),
        command(target, "build", settings.build),
    ]
    change = [migrate, *change] if settings.migrate_after == "pause" else [*change, migrate]
    return ReleaseChange(target, former, change, wait_s, before).plan(
        f"Deploy what {words(settings.fetch) or settings.folder} brings; {before} is there now.",
        commands.run(ROLLBACK, target, apply=True, release=before),
        {"before": before},
        [Remedy.of(ROLLBACK, f"goes back to {before}", release=before)],
    )


@check(needs=(queues.SYSTEM,))
def left_paused(target: Target) -> Finding:
    """Queues that a deployment left paused"""
    left = held(target, queues.queues_of(target), REASON)
    return left_by("deployment", left, "; continue it, or resume them")


def _before(target: Target, at: str) -> str:
    """Return the release that ran before a deployment from the beginning.

    One that was interrupted may have fetched `at` and never started it.
    """
    left = unfinished_change(changes(target))
    return left.before if left and left.runbook == DEPLOY else at
