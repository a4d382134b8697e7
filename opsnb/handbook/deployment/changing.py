"""Change the running release: the steps that a deployment and a rollback have in common.

A step that fails stops the rest; the queues that were paused for it are resumed whatever happens,
by the next run when this one is killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from opsnb.actions.action import Permit, Plan
from opsnb.actions.steps import Step, Steps, words
from opsnb.checks import evidence
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Remedy, Status
from opsnb.systems import api, deploy, queues
from opsnb.systems.api.settings import Api
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.queues.holding import held, holding, running, to_hold, wait_until_idle
from opsnb.systems.queues.settings import Queues
from opsnb.view.formats import and_list

REASON = "for a deployment"
"""The note of a pause, by which the next run recognises its own pauses."""
_PATIENCE_S = 30.0  # a service may take this long to start


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

    def wait(self, seconds: float, _: Permit) -> str:
        wait_until_idle(self.target, self.names, seconds)
        return "no job is active"

    def resume(self, _: Permit) -> str:
        self.stack.close()
        return f"running: {and_list(self.names)}" if self.names else ""


@dataclass
class ReleaseChange:
    """A change of the release that runs, by a deployment or a rollback."""

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
        of_queues = partial(Step, again=True, is_there=bool(names))
        steps = Steps(
            [
                of_queues("pause the queues", "POST /api/queue/pause-all", hold.pause),
                of_queues("wait for active jobs", "", partial(hold.wait, self.wait_s)),
                *self.change,
                command(target, "restart", deploy.restart(target)),
                Step(
                    "wait until it answers",
                    f"GET {Api.of(target).health}",
                    lambda _: api.wait_until_well(target, _PATIENCE_S),
                    is_there=bool(Api.of(target).url and Api.of(target).health),
                ),
                command(target, "smoke test", settings.smoke),
                of_queues("resume the queues", "POST /api/queue/resume-all", hold.resume),
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


def command(target: Target, name: str, typed: Sequence[str], **filled: str) -> Step:
    """Return the step of a command; one that is not configured is shown as that."""

    def do(permit: Permit) -> str:
        return deploy.do(target, permit, typed, **filled)

    shown = words(typed)
    for key, value in filled.items():
        shown = shown.replace(f"'{{{key}}}'", value)
    return Step(name, shown, do, is_there=bool(typed))


def _queues(target: Target) -> list[str]:
    """Return the queues that are held meanwhile; a service without Redis has none."""
    return queues.queues_of(target) if Queues.of(target).url else []


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
