"""How a run ended, and what to do next: the last lines that a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from opsnb import catalog
from opsnb.errors import ExitCode
from opsnb.model import ActionRecord, ActionState, Finding, RunResult, Status
from opsnb.records.members import members
from opsnb.records.members import worst_first as worst_members
from opsnb.records.verdict import all_done, cause_of, remedies, worst_finding, worst_sentence_of
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
"""How a run without a status ended, by its exit code."""


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
    """Return how a run ended, in one or two words: its status, or why it has none."""
    if result.error is None:
        return result.status.upper()
    if result.location:  # it ran to its end, only its record is not in the store
        return "Record waits"
    return HOW.get(result.exit_code, "Broke")


def word_in_lists(result: RunResult) -> str:
    """Return the word for lists, where a status of the findings comes first."""
    return word(result) if result.status is Status.UNKNOWN else result.status.upper()


def endings(result: RunResult) -> list[Ending]:
    """Return how a run ended, the most important line last."""
    plan = list(_plan(result))
    worst = [_applied(ending, plan, result) for ending in _worst(result)]
    # What to do comes last.
    is_ok = all(ending.status is Status.OK for ending in worst)
    lines = [*_error(result), *(worst + plan if is_ok else plan + worst)]
    steps = {step.command for ending in lines[1:] for step in ending.steps}
    first = lines[0]
    if any(step.command in steps for step in first.steps):  # a later line has the command
        kept = [step for step in first.steps if step.command not in steps]
        lines[0] = Ending(first.word, first.status, first.sentence, kept)
    return lines


def _applied(worst: Ending, plan: Sequence[Ending], result: RunResult) -> Ending:
    """Return `worst`; where this same dry run is its remedy, with the command that applies it."""
    same = commands.line("run", result.runbook)
    is_dry_run = any(
        f"{step.command} ".startswith(f"{same} ") and " --apply" not in step.command
        for step in worst.steps
    )
    if not (is_dry_run and plan and plan[0].steps):
        return worst
    steps = [Step(plan[0].steps[0].command, "apply this dry run")]
    return replace(worst, steps=steps)


def _applied_by(result: RunResult, confirm: str) -> list[Step]:
    """Return the command that applies a run; none when a parameter was kept without its secret."""
    command = catalog.again(
        result.runbook, result.target, result.parameters, apply=True, confirm=confirm
    )
    return [] if MASK in command else [Step(command)]


def _error(result: RunResult) -> Iterator[Ending]:
    if result.error is None:
        return
    steps = []
    # A run whose record is in the spool has an error, though it may have run to its end.
    is_over = result.ended or (
        result.kept_late and not any(action.is_incomplete for action in result.actions)
    )
    if not is_over and any(action.begun for action in result.actions):
        why = "continue it; opsnb repeats nothing"
        steps.append(Step(commands.line("run", "--resume", result.run_id), why))
    if any(_lacks_name(action, result) for action in result.actions):
        steps += _applied_by(result, result.target)
    how = word(result)
    sentence = result.error
    if sentence.startswith(f"{how}, "):  # the word is shown beside it
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
    """Yield that a dry run changed nothing, and the command that applies its plan."""
    planned = [action for action in result.actions if action.state is ActionState.PLANNED]
    if result.error or not any(action.planned for action in planned):
        return
    confirm = result.target if any(action.protected for action in planned) else ""
    sentence = "Nothing was changed. To apply, add --apply."
    yield Ending("Dry run", Status.OK, sentence, _applied_by(result, confirm))


def _worst(result: RunResult) -> Iterator[Ending]:
    if result.is_summary:
        yield from _worst_target(result)
        return
    counted = result.counted
    finding = worst_finding(counted)
    if finding and finding.status not in (Status.OK, Status.SKIPPED):
        if cause := cause_of(finding, counted):  # one alarm: the cause says what to do
            sentence = worst_sentence_of(counted)
            yield Ending(finding.status.upper(), finding.status, sentence, _of(cause, result).steps)
            return
        ending = _of(finding, result)
        yield ending
        if not ending.steps:
            others = (_of(other, result) for other in worst_first(counted))
            yield from islice((other for other in others if other.steps), 1)
    elif result.error is None or result.location:
        tried = [action for action in result.actions if action.state is not ActionState.PLANNED]
        begun = [action for action in tried if action.begun]
        words = all_done(begun or tried) or (f"{summary(counted)}." if finding else "No check ran.")
        yield Ending(result.status.upper(), result.status, words)


def _of(finding: Finding, result: RunResult) -> Ending:
    steps = [Step(remedy.command, remedy.words) for remedy in remedies(finding, result)[:1]]
    return Ending(finding.status.upper(), finding.status, named(finding), steps)


def _worst_target(result: RunResult) -> Iterator[Ending]:
    ended = worst_members(members(result))
    if not ended:
        return
    failed = [member for member in ended if member.failed]
    if not failed:
        yield Ending(result.status.upper(), result.status, f"{summary(result.findings)}.")
        return
    apply = ["--apply"] if result.parameters.get("apply") else []
    retry = commands.line("run", result.runbook, *apply, "--failed-of", result.run_id)
    yield Ending(
        f"{len(failed)} of {len(ended)}",
        Status.WARN,
        "targets failed.",
        [Step(retry, "run it again on the targets that failed")],
    )
    worst = failed[0]
    steps = [Step(remedy.command, remedy.words) for remedy in worst.remedies[:1]]
    sentence = f"{worst.target}: {worst.sentence}"
    yield Ending(worst.status.upper(), worst.status, sentence, steps)
