"""Go back to a release while the queues are held. Handbook, section 8.4."""

from __future__ import annotations

from collections.abc import Sequence

from opsnb.actions.action import Plan, action
from opsnb.config.target import Target
from opsnb.errors import Refused, UsageError
from opsnb.handbook.deployment.changing import ReleaseChange, command
from opsnb.handbook.deployment.releases import (
    DEPLOY,
    Change,
    changes,
    release_before,
    unfinished_change,
)
from opsnb.model import ActionRecord, Remedy
from opsnb.systems import deploy, queues
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import ProgramFailed
from opsnb.view import commands

RECORDED_AS = "deploying"


@action(needs=(HOST, queues.SYSTEM))
def go_back(
    target: Target,
    former: ActionRecord | None,
    to: str = "",
    *,
    migrate_down: bool = False,
    wait_s: float = 120,
) -> Plan:
    """Go back to a release.

    To `to`, or to the one that was there before the newest deployment. With `migrate_down` its
    migration is taken back as well. Raises Refused when there is none to go back to.
    """
    settings = Deploy.of(target)
    at = deploy.release(target)
    past = changes(target)
    goal = former.terms["to"] if former else to or _release_before(target, past, at)
    if goal == at and not former and unfinished_change(past) is None:
        raise Refused(f"{at} is there already; name another one: -p release=NAME")
    if not deploy.is_release(target, goal):
        raise UsageError(
            f"There is no release '{goal}' in {settings.folder}; name one that was fetched, by its "
            "tag or its commit: -p release=NAME"
        )
    if migrate_down and not settings.migrate_down:
        raise Refused(
            f"[targets.{target.name}.deploy] names no migrate_down; restore the backup instead: "
            + commands.run("database/restore", target)
        )
    down = [command(target, "migrate down", settings.migrate_down)] if migrate_down else []
    change = [
        *down,
        command(target, "go back", settings.go_back, release=goal),
        command(target, "install", settings.install),
        command(target, "build", settings.build),
    ]
    before = former.terms["before"] if former else at
    return ReleaseChange(target, former, change, wait_s, before).plan(
        f"Go back from {before} to {goal}.",
        commands.run(DEPLOY, target, apply=True),
        {"before": before, "to": goal},
        [Remedy.of("incidents/service_down", "shows what is down")],
    )


def _release_before(target: Target, past: Sequence[Change], at: str) -> str:
    """Return the release before the one that is there: by the records, else by git.

    Raises Refused when the records know of none.
    """
    left = unfinished_change(past)
    if left and left.runbook == DEPLOY:
        return left.before
    if not past:
        try:
            before = deploy.release_before(target)
        except ProgramFailed as error:
            raise Refused(
                f"Neither records nor the working copy know a release before {at} ({error.said}); "
                "name one: -p release=NAME"
            ) from error
        if not before or before == at:
            raise Refused(f"No release before {at} is known; name one: -p release=NAME")
        return before
    if before := release_before(past, at):
        return before
    raise Refused(f"The records know of no release before {at}; name one: -p release=NAME")
