"""What a run came to, and what to do next: that stands last, where a tired person looks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from opsnb import catalog
from opsnb.errors import ExitCode, OpsnbError
from opsnb.model import ActionRecord, ActionState, Finding, RunResult, Status
from opsnb.records.members import members
from opsnb.records.members import worst_first as worst_members
from opsnb.records.verdict import cause_of, done, remedies, worst_finding, worst_sentence_of
from opsnb.redaction import MASK
from opsnb.view import commands
from opsnb.view.findings import named, summary, worst_first

HOW: dict[int, str] = {
    ExitCode.UNUSABLE: "Not run",
    ExitCode.LOCKED: "Locked",
    ExitCode.REFUSED: "Refused",
    ExitCode.TIMED_OUT: "Timed out",
    ExitCode.INTERRUPTED: "Interrupted",
}
"""How a run ended that came to no status, by its exit code."""


@dataclass(frozen=True)
class Step:
    """What to do next."""

    command: str
    why: str = ""


@dataclass(frozen=True)
class Ending:
    """A sentence, and what to do about it."""

    word: str
    """Such as `CRIT` or `Refused`."""
    status: Status
    sentence: str
    steps: Sequence[Step] = field(default_factory=tuple)


def word(result: RunResult) -> str:
    """Return how a run ended, in one or two words: its status, or why it did not come to one."""
    if result.error is None:
        return result.status.upper()
    if result.location:  # it came to its end, and only its record did not
        return "Record waits"
    return HOW.get(result.exit_code, "Broke")


def word_in_lists(result: RunResult) -> str:
    """Return the word that lists have room for: a finding that is critical counts for more."""
    return word(result) if result.status is Status.UNKNOWN else result.status.upper()


def endings(result: RunResult) -> list[Ending]:
    """Return what a run came to, the most important last."""
    plan = list(_plan(result))
    worst = [_applied(ending, plan, result) for ending in _worst(result)]
    # What there is to do stands last.
    is_well = all(ending.status is Status.OK for ending in worst)
    found = [*_error(result), *(worst + plan if is_well else plan + worst)]
    steps = {step.command for ending in found[1:] for step in ending.steps}
    first = found[0]
    if any(step.command in steps for step in first.steps):  # what the last one says is enough
        kept = [step for step in first.steps if step.command not in steps]
        found[0] = Ending(first.word, first.status, first.sentence, kept)
    return found


def _applied(worst: Ending, plan: Sequence[Ending], result: RunResult) -> Ending:
    """Return `worst`; where the dry run itself is what treats it, with what applies the plan.

    The same dry run once more would lead nowhere.
    """
    same = commands.line("run", result.runbook)
    is_dry_run = any(
        f"{step.command} ".startswith(f"{same} ") and " --apply" not in step.command
        for step in worst.steps
    )
    if not (is_dry_run and plan and plan[0].steps):
        return worst
    steps = [Step(plan[0].steps[0].command, "apply this dry run")]
    return replace(worst, steps=steps)


def again(result: RunResult, *, apply: bool, confirm: str = "") -> str:
    """Return the line that runs what `result` ran; empty when a secret in it is not known."""
    given = dict(result.parameters)
    for name in ("target", "apply", "confirm"):
        given.pop(name, None)
    try:
        defaults = {
            known.name: known.default for known in catalog.runbook(result.runbook).parameters
        }
    except OpsnbError:
        defaults = {}
    given = {name: value for name, value in given.items() if value != defaults.get(name, ...)}
    if MASK in json.dumps(given, default=str):
        return ""
    return commands.run_on(result.runbook, result.target, given, apply=apply, confirm=confirm)


def _error(result: RunResult) -> Iterator[Ending]:
    if result.error is None:
        return
    steps = []
    # With its record in the spool a run shows an error, though it may have come to its end.
    is_over = result.ended or (
        result.kept_late and not any(action.cut_off for action in result.actions)
    )
    if not is_over and any(action.begun for action in result.actions):
        why = "continue it; opsnb repeats nothing"
        steps.append(Step(commands.line("run", "--resume", result.run_id), why))
    if any(_lacks_name(action, result) for action in result.actions):
        command = again(result, apply=True, confirm=result.target)
        steps += [Step(command)] if command else []
    how = word(result)
    sentence = result.error
    if sentence.startswith(f"{how}, "):  # the word stands beside it
        rest = sentence.removeprefix(f"{how}, ")
        sentence = rest[:1].upper() + rest[1:]
    yield Ending(how, Status.CRIT, sentence, steps)


def _lacks_name(action: ActionRecord, result: RunResult) -> bool:
    return (
        action.state is ActionState.REFUSED
        and action.protected
        and result.parameters.get("confirm") != result.target
    )


def _plan(result: RunResult) -> Iterator[Ending]:
    """Yield what a dry run would do, and the line that does it."""
    planned = [action for action in result.actions if action.state is ActionState.PLANNED]
    if result.error or not any(action.planned for action in planned):
        return
    confirm = result.target if any(action.protected for action in planned) else ""
    command = again(result, apply=True, confirm=confirm)
    steps = [Step(command)] if command else []
    sentence = "Nothing was changed. To apply, add --apply."
    yield Ending("Dry run", Status.OK, sentence, steps)


def _worst(result: RunResult) -> Iterator[Ending]:
    if result.is_summary:
        yield from _worst_target(result)
        return
    counted = result.counted
    finding = worst_finding(counted)
    if finding and finding.status not in (Status.OK, Status.SKIPPED):
        if cause := cause_of(finding, counted):  # one alarm, which says what to do
            sentence = worst_sentence_of(counted)
            yield Ending(finding.status.upper(), finding.status, sentence, _of(cause, result).steps)
            return
        ending = _of(finding, result)
        yield ending
        if not ending.steps:
            others = (_of(each, result) for each in worst_first(counted))
            yield from islice((other for other in others if other.steps), 1)
    elif result.error is None or result.location:
        tried = [each for each in result.actions if each.state is not ActionState.PLANNED]
        did = [done(each) for each in [each for each in tried if each.begun] or tried]
        words = " ".join(did) or (f"{summary(counted)}." if finding else "No check ran.")
        yield Ending(result.status.upper(), result.status, words)


def _of(finding: Finding, result: RunResult) -> Ending:
    steps = [Step(each.command, each.words) for each in remedies(finding, result)[:1]]
    return Ending(finding.status.upper(), finding.status, named(finding), steps)


def _worst_target(result: RunResult) -> Iterator[Ending]:
    found = worst_members(members(result))
    if not found:
        return
    failed = [member for member in found if member.failed]
    if not failed:
        yield Ending(result.status.upper(), result.status, f"{summary(result.findings)}.")
        return
    apply = ["--apply"] if result.parameters.get("apply") else []
    retry = commands.line("run", result.runbook, *apply, "--failed-of", result.run_id)
    yield Ending(
        f"{len(failed)} of {len(found)}",
        Status.WARN,
        "targets failed.",
        [Step(retry, "run it again on the targets that failed")],
    )
    worst = failed[0]
    steps = [Step(remedy.command, remedy.words) for remedy in worst.remedies[:1]]
    sentence = f"{worst.target}: {worst.sentence}"
    yield Ending(worst.status.upper(), worst.status, sentence, steps)
