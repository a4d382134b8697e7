"""The observations of a run: a status for each target and finding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opsnb import catalog
from opsnb.config.systems import thresholds
from opsnb.errors import ExitCode, NotConfigured, OpsnbError
from opsnb.model import Finding, RunResult, Status
from opsnb.records.members import Member, members
from opsnb.records.store import Store
from opsnb.records.stored import NOTEBOOK
from opsnb.records.verdict import cause_of, remedies, worst_sentence
from opsnb.view import addresses, commands
from opsnb.view.findings import named

RUN = "run"
"""In place of a finding's name: whether the run itself succeeded."""
_RUN_TITLE = "Run"


@dataclass(frozen=True)
class Observation:
    """The status of one finding on one target."""

    target: str
    name: str
    title: str
    status: Status
    message: str
    command: str
    """The next command."""
    about: str = ""
    """The site's page that says what it means, from the site's root; empty if there is none."""

    @property
    def is_bad(self) -> bool:
        """Whether it is worth a notification."""
        return self.status not in (Status.OK, Status.SKIPPED)


@dataclass(frozen=True)
class Observed:
    """All observations of one run, or of runs on several targets."""

    schedule: str
    """Empty for a manual run."""
    runbook: str
    run_id: str
    """Of the record; empty if there is none."""
    record: str
    """Where the record is."""
    observations: list[Observation]
    complete: frozenset[str]
    """The targets whose runs ended normally: what they did not report does not exist."""
    unsettled: frozenset[tuple[str, str]] = frozenset()
    """Targets and checks that were reported, but not as measured alarms of their own."""
    unconfigured: frozenset[tuple[str, str]] = frozenset()
    """Targets and checks of systems that the target does not have in `opsnb.toml`."""

    @property
    def source(self) -> str:
        """The source of the observations, which the memory keeps apart."""
        return f"schedule {self.schedule}" if self.schedule else f"manual {self.runbook}"


def of_run(result: RunResult, schedule: str, store: Store) -> Observed:
    """Return the observations of `result`; of a summary, those of the runs on its targets."""
    observations: list[Observation] = []
    complete = set()
    unsettled: set[tuple[str, str]] = set()
    unconfigured: set[tuple[str, str]] = set()
    for part in _parts(result, store):
        if part.exit_code in (ExitCode.INTERRUPTED, ExitCode.LOCKED):
            continue  # nobody needs a notification, and what it had not checked is unchanged
        if isinstance(part, Member):
            observations.append(_without_record(part, result))
            continue
        observations += _observations(part)
        unsettled |= {(part.target, check) for check in _unsettled(part)}
        unconfigured |= {(part.target, check) for check in _unconfigured(part)}
        if part.ended:
            complete.add(part.target)
    return Observed(
        schedule=schedule,
        runbook=result.runbook,
        run_id=result.run_id,
        record=_place(store, result),
        observations=observations,
        complete=frozenset(complete),
        unsettled=frozenset(unsettled),
        unconfigured=frozenset(unconfigured),
    )


def of_refusal(schedule: str, runbook: str, targets: Iterable[str], why: str) -> Observed:
    """Return the observations of a run that could not begin."""
    command = commands.line("schedule", "run", schedule)
    observations = [
        Observation(target, RUN, _RUN_TITLE, Status.UNKNOWN, why, command) for target in targets
    ]
    return Observed(schedule, runbook, "", "", observations, frozenset())


def _parts(result: RunResult, store: Store) -> Iterable[RunResult | Member]:
    if not result.is_summary:
        yield result
        return
    for member in members(result):
        try:
            yield store.result(member.run_id) if member.run_id else member
        except OpsnbError:
            yield member  # its record cannot be read, but the summary has its outcome


def _place(store: Store, result: RunResult) -> str:
    try:
        return f"{result.location or store.folder(result.run_id)}/{NOTEBOOK}"
    except OpsnbError:
        return ""


def _without_record(member: Member, summary: RunResult) -> Observation:
    command = commands.noted(catalog.again(summary.runbook, member.target, summary.parameters))
    status = member.status if member.status is not Status.SKIPPED else Status.UNKNOWN
    return Observation(member.target, RUN, _RUN_TITLE, status, member.sentence, command)


def _observations(result: RunResult) -> list[Observation]:
    alarms = [_of(finding, result) for finding in _alarms(result)]
    status, how = _run_itself(result, any(alarm.is_bad for alarm in alarms))
    return [*alarms, Observation(result.target, RUN, _RUN_TITLE, status, how, _show(result))]


def _run_itself(result: RunResult, reports_bad: bool) -> tuple[Status, str]:
    """Return the status of the run itself, and a sentence."""
    if result.error:
        return Status.UNKNOWN, result.error
    measured = result.actions or any(finding.is_measured for finding in result.counted)
    if not (measured or reports_bad):
        return Status.UNKNOWN, f"Nothing was measured. {worst_sentence(result)}"
    return Status.OK, "The run succeeded."


def _alarms(result: RunResult) -> Iterable[Finding]:
    """Return the worst finding of each key.

    A cause and its symptom are one alarm; a system that the target does not have is none.
    """
    reported = {finding.name for finding in result.counted}
    explaining = {finding.explained_by for finding in result.counted}
    alarms: dict[str, Finding] = {}
    for finding in result.counted:
        is_reported = finding.cause_of in reported or finding.name in explaining
        if is_reported or _is_unconfigured(finding):
            continue
        before = alarms.get(finding.key)
        if before is None or finding.status.severity > before.status.severity:
            alarms[finding.key] = finding
    return alarms.values()


def _unsettled(result: RunResult) -> Iterable[str]:
    """Return the checks whose earlier alarms may continue although none is reported now.

    Their finding is the cause of another alarm or about a system that the target does not have, or
    the whole check could not run, so nothing is known about its objects.
    """
    alarms = {finding.key for finding in _alarms(result)}
    return {
        finding.key.split(" ", 1)[0]
        for finding in result.counted
        if finding.status is not Status.OK
        and (finding.key not in alarms or not (finding.arguments or finding.is_measured))
    }


def _unconfigured(result: RunResult) -> Iterable[str]:
    """Return the checks of systems that the target does not have, and nothing else of them."""
    checks = {
        finding.key.split(" ", 1)[0] for finding in result.counted if _is_unconfigured(finding)
    }
    return checks - {key.split(" ", 1)[0] for key in (alarm.key for alarm in _alarms(result))}


def _is_unconfigured(finding: Finding) -> bool:
    return finding.failure == NotConfigured.__name__


def _of(finding: Finding, result: RunResult) -> Observation:
    cause = cause_of(finding, result.counted)
    treated = remedies(cause or finding, result)
    return Observation(
        target=result.target,
        name=finding.key,
        title=finding.title or finding.name,
        status=finding.status,
        message=f"{finding.message} Most likely: {named(cause)}" if cause else finding.message,
        command=treated[0].command if treated else _show(result),
        about=_about(finding, treated[0].runbook if treated else ""),
    )


def _about(finding: Finding, runbook: str) -> str:
    """Return the page of its alert threshold, else of the first symptom that `runbook` is for."""
    if finding.threshold and finding.threshold.metric in thresholds():
        return addresses.alert(finding.threshold.metric)
    try:
        symptoms = catalog.runbook(runbook).symptoms if runbook else {}
    except OpsnbError:  # the record names a runbook that there is not
        symptoms = {}
    return next(map(addresses.symptom, symptoms), "")


def _show(result: RunResult) -> str:
    return commands.line("records", "show", result.run_id)
