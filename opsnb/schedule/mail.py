"""What a scheduled run prints on stderr, which cron mails: only problems."""

from __future__ import annotations

from collections.abc import Iterable

from opsnb.config.file import Config
from opsnb.config.unattended import Schedule
from opsnb.model import RunResult, Status
from opsnb.notify.message import clean
from opsnb.notify.observations import Observation, of_run
from opsnb.records.ending import word
from opsnb.records.members import members, worst_first
from opsnb.records.store import Store
from opsnb.records.verdict import worst_sentence
from opsnb.redaction import Redactor, environment_secrets
from opsnb.view.findings import summary

_MOST = 10  # targets of a run of several


def lines(result: RunResult, schedule: Schedule, config: Config, store: Store) -> list[str]:
    """Return lines with the worst finding, the next command and the record.

    Empty when `schedule` does not mail such an outcome, or when only systems that the target does
    not have are unknown.
    """
    if _outcome(result) not in schedule.mail:
        return []
    redact = Redactor(config.secrets | environment_secrets()).text
    observed = of_run(result, schedule.name, store)
    if not (result.error or any(found.is_bad for found in observed.observations)):
        return []
    place = [f"Record: {clean(observed.record, redact)}"] if observed.record else []
    head = [clean(line, redact) for line in _head(result)]
    return [*head, *(redact(line) for line in _next(observed.observations)), *place]


def _outcome(result: RunResult) -> str:
    """Return the status of `result`; at least unknown if it failed or was refused."""
    if result.status in (Status.OK, Status.SKIPPED) and result.exit_code:
        return Status.UNKNOWN
    return result.status


def _head(result: RunResult) -> list[str]:
    head = f"{word(result).upper()} {result.runbook} on {result.target}"
    if result.is_summary:
        return [f"{head}: {summary(result.findings)}.", *_of_members(result)]
    return [f"{head}: {worst_sentence(result)}"]


def _of_members(result: RunResult) -> list[str]:
    failed = worst_first(member for member in members(result) if member.failed)
    lines = [
        f"{member.status.upper()} {member.target}: {member.sentence}" for member in failed[:_MOST]
    ]
    more = len(failed) - _MOST
    return [*lines, *([f"... and {more} more targets"] if more > 0 else [])]


def _next(observations: Iterable[Observation]) -> list[str]:
    bad = [found for found in observations if found.is_bad]
    worst = max(bad, key=lambda found: found.status.severity, default=None)
    return [f"Next: {worst.command}"] if worst else []
