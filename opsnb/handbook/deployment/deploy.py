"""Bring a release onto the host, or go back to one, while the queues are held.

Handbook, sections 8.2 and 8.4. A step that fails stops the rest; the queues that were paused for
it are resumed whatever happens, by the next run when this one is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from opsnb.actions.action import Permit, Plan, action
from opsnb.actions.steps import Step, Steps, words
from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import Refused, UsageError
from opsnb.handbook.deployment.deployments import DEPLOY, ROLLBACK
from opsnb.handbook.deployment.releases import Change, changes, release_before, unfinished_change
from opsnb.model import ActionRecord, Finding, Remedy, Status
from opsnb.systems import api, deploy, queues
from opsnb.systems.api.settings import Api
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import ProgramFailed
from opsnb.systems.queues.holding import held, holding, running, to_hold, wait_until_idle
from opsnb.systems.queues.settings import Queues
from opsnb.view import commands
from opsnb.view.formats import and_list

RECORDED_AS = "deploying"
"""How records name its checks and actions: a name never changes, so that histories go on."""

REASON = "for a deployment"
"""Stands in the note of a pause, so that the next run knows it for one of ours."""

_PATIENCE_S = 30.0


@dataclass
class _Hold:
    """The queues, while they are held."""

    target: Target
    names: Sequence[str]
    stack: ExitStack = field(default_factory=ExitStack)

    def pause(self, permit: Permit) -> str:
        if self.names:
            self.stack.enter_context(holding(self.target, permit, self.names, REASON))
        return f"paused: {and_list(self.names)}" if self.names else "none was running"

    def resume(self, _: Permit) -> str:
        self.stack.close()
        return f"running: {and_list(self.names)}" if self.names else ""


@action(needs=(HOST, queues.SYSTEM))
def release(target: Target, former: ActionRecord | None, *, wait_s: float = 120) -> Plan:
    """Deploy the newest release.

    Pauses the queues and gives `wait_s` seconds to the jobs that are active, migrates, fetches,
    installs, builds, restarts, asks the service by the smoke test, and resumes the queues. A step
    that was done is not repeated by a run that continues. Raises NotConfigured when the target
    does not say how it is deployed, Refused when its working copy was changed by hand.
    """
    settings = Deploy.of(target)
    at = deploy.release(target)
    if former is None:
        _demand_clean(target)
    before = former.terms["before"] if former else _before(target, at)
    migrate = _command(target, "migrate", settings.migrate)
    change = [
        _command(target, "fetch", settings.fetch),
        _command(target, "install", settings.install),
        _command(target, "build", settings.build),
    ]
    change = [migrate, *change] if settings.migrate_after == "pause" else [*change, migrate]
    plan = _Change(target, former, change, wait_s, before)
    return plan.plan(
        f"Deploy what {words(settings.fetch) or settings.folder} brings; {before} is there now.",
        commands.run(ROLLBACK, target, apply=True, release=before),
        {"before": before},
        [Remedy(runbook=ROLLBACK, parameters={"release": before}, why=f"goes back to {before}")],
    )


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
    down = [_command(target, "migrate down", settings.migrate_down)] if migrate_down else []
    change = [
        *down,
        _command(target, "go back", settings.go_back, release=goal),
        _command(target, "install", settings.install),
        _command(target, "build", settings.build),
    ]
    before = former.terms["before"] if former else at
    plan = _Change(target, former, change, wait_s, before)
    return plan.plan(
        f"Go back from {before} to {goal}.",
        commands.run(DEPLOY, target, apply=True),
        {"before": before, "to": goal},
        [Remedy(runbook="incidents/service_down", why="shows what is down")],
    )


@check(needs=(queues.SYSTEM,))
def left_paused(target: Target) -> Finding:
    """Queues that a deployment left paused"""
    left = held(target, queues.queues_of(target), REASON)
    if not left:
        return Finding(status=Status.OK, message="No deployment has left a queue paused.")
    return Finding(
        status=Status.WARN,
        message=f"An interrupted deployment has left {and_list(left)} paused; continue it, or "
        "resume them.",
        rows=[{"queue": queue} for queue in left],
        remedies=[
            Remedy(runbook="queues/resume", parameters={"queue": queue}, apply=True)
            for queue in left
        ],
    )


@dataclass
class _Change:
    """A change of the running release: what deploying and going back have in common."""

    target: Target
    former: ActionRecord | None
    change: Sequence[Step]
    wait_s: float
    before: str

    def plan(self, summary: str, undo: str, terms: dict[str, str], remedies: list[Remedy]) -> Plan:
        """Return its plan; `remedies` are offered when it did not complete."""
        target, settings = self.target, Deploy.of(self.target)
        names = _queues(target)
        left = held(target, names, REASON) if names else []
        ours, refusal = to_hold(target, names, left)
        hold = _Hold(target, ours)
        steps = Steps(
            [
                Step(
                    "pause the queues",
                    "POST /api/queue/pause-all",
                    hold.pause,
                    again=True,
                    is_there=bool(names),
                ),
                Step(
                    "wait for active jobs", "", self._wait(hold), again=True, is_there=bool(names)
                ),
                *self.change,
                _command(target, "restart", deploy.restart(target)),
                Step(
                    "wait until it answers",
                    f"GET {Api.of(target).health}",
                    self._answers,
                    is_there=bool(Api.of(target).url and Api.of(target).health),
                ),
                _command(target, "smoke test", settings.smoke),
                Step(
                    "resume the queues",
                    "POST /api/queue/resume-all",
                    hold.resume,
                    again=True,
                    is_there=bool(names),
                ),
            ],
            self.former,
        )

        def work(permit: Permit) -> Iterator[int]:
            with hold.stack:
                yield from steps.work(permit)

        if left:
            verb = "was" if len(left) == 1 else "were"
            summary += f" {and_list(left)} {verb} left paused by an interrupted one."
        if hold.names:
            summary += f" Meanwhile paused: {and_list(hold.names)}."
        return Plan(
            summary=summary,
            planned=len(steps.left),
            unit="steps",
            command=" && ".join(row["command"] for row in steps.rows if row["command"]),
            undo=undo,
            work=work,
            verify=lambda: [_effect(target, steps, hold.names, self.before, remedies)],
            sample=steps.rows,
            basis=[self.before, sorted(hold.names)],
            terms=dict(terms),
            refusal=refusal,
            journal_each=True,
        )

    def _wait(self, hold: _Hold) -> Callable[[Permit], str | None]:
        def wait(_: Permit) -> str:
            wait_until_idle(self.target, hold.names, self.wait_s)
            return "no job is active"

        return wait

    def _answers(self, _: Permit) -> str:
        return api.wait_until_well(self.target, _PATIENCE_S)


def _command(target: Target, name: str, command: Sequence[str], **filled: str) -> Step:
    """Return the step of a command; one that the service does not have says so."""

    def do(permit: Permit) -> str:
        return deploy.do(target, permit, command, **filled)

    shown = words(command)
    for key, value in filled.items():
        shown = shown.replace(f"'{{{key}}}'", value)
    return Step(name, shown, do, is_there=bool(command))


def _queues(target: Target) -> list[str]:
    """Return the queues that are held meanwhile; a service without Redis has none."""
    return queues.queues_of(target) if Queues.of(target).url else []


def _demand_clean(target: Target) -> None:
    found = deploy.clean(target)
    if found.status is not Status.OK:
        raise Refused(f"{found.message} Commit or discard them first.")


def _before(target: Target, at: str) -> str:
    """Return the release that ran before a deployment from the beginning.

    One that was interrupted may have fetched `at` and never started it.
    """
    left = unfinished_change(changes(target))
    return left.before if left and left.runbook == DEPLOY else at


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


def _effect(
    target: Target, steps: Steps, names: Sequence[str], before: str, remedies: list[Remedy]
) -> Finding:
    at, words = deploy.release(target), []
    paused = sorted(set(names) - set(running(target, names))) if names else []
    stopped = steps.stopped_at
    if stopped:
        words.append(
            f"It stopped at '{stopped['step']}': {(stopped['said'] or 'interrupted').rstrip('.')}."
        )
    words.append(f"{at} is there, {before} was before.")
    if names:
        words.append(
            f"Still paused: {and_list(paused)}." if paused else "No queue was left paused."
        )
    if steps.skipped:
        words.append(f"Not configured, so not done: {and_list(steps.skipped)}.")
    if {"wait until it answers", "smoke test"} <= set(steps.skipped):
        evidence.partial(
            "whether the service works now, for neither api.health nor deploy.smoke is configured"
        )
    bad = bool(stopped or paused)
    return Finding(
        status=Status.CRIT if bad else Status.OK,
        message=" ".join(words),
        rows=[{key: row[key] for key in ("step", "state", "took_s", "said")} for row in steps.rows],
        remedies=remedies if bad and at != before else [],
    )
