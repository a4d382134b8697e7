"""Whether a deployment may begin: the checklist, measured where it can be.

Handbook, section 8.1. What is missing is `crit`, since it blocks.
"""

from __future__ import annotations

from datetime import timedelta

from opsnb.actions.journal import continued
from opsnb.checks.causes import not_checked
from opsnb.checks.check import check, treated_by
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import NotConfigured, Refused
from opsnb.model import Finding, Remedy, Row, Status, now
from opsnb.records.reader import past_runs
from opsnb.systems import database, deploy, host, queues
from opsnb.systems.database.settings import Database
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.queues.settings import Queues
from opsnb.view import commands

RECORDED_AS = "readiness"

CHECKLIST = "deployment/pre_deploy"
_TESTS_LIMIT_S = 900.0
_BLOCKS = (Status.CRIT, Status.UNKNOWN)


@check(treated_by="the message says what is missing")
def reviewed(_: Target, by: str) -> Finding:
    """Code review"""
    return _confirmed(by, "Code review is not confirmed.", "reviewed_by")


@check(treated_by="the message says what is missing")
def announced(_: Target, by: str) -> Finding:
    """Notification of stakeholders"""
    return _confirmed(by, "Notice to stakeholders is not confirmed.", "announced_by")


@check(needs=(host.SYSTEM,), limit_s=_TESTS_LIMIT_S, treated_by="the message says what is missing")
def tested(target: Target, by: str) -> Finding:
    """Tests"""
    try:
        return deploy.tests(target)
    except NotConfigured as error:
        return _confirmed(by, f"Tests: {error}", "tested_by")


@check(needs=(host.SYSTEM,), treated_by="the message says what is missing")
def migrations(target: Target, by: str) -> Finding:
    """Test of the migrations"""
    try:
        finding = deploy.pending(target)
    except NotConfigured as error:
        return _confirmed(by, f"Migrations: {error}", "migrations_tested_by")
    if not finding.rows:
        return finding
    confirmed = _confirmed(by, finding.message, "migrations_tested_by")
    return confirmed.model_copy(update={"rows": finding.rows})


@check(needs=(database.SYSTEM,))
def backup(target: Target, folder: str, hours: float | None = None) -> Finding:
    """Age of the newest backup"""
    if not Database.of(target).url:
        return not_checked(f"Not checked: target {target.name} names no database.")
    hours = target.limit("backup_age_hours", hours)
    remedy = Remedy.of("database/backup", "makes one", apply=True)
    whole = [row for row in database.backups(target, folder) if row["what"] == "full"]
    if not whole:
        return _missing(f"There is no full backup in {folder}.", remedy)
    newest = min(whole, key=lambda row: float(row["hours_old"]))
    message = f"The newest full backup, {newest['file']}, is {newest['hours_old']:.1f} hours old"
    if newest["hours_old"] > hours:
        return _missing(f"{message}, which is more than {hours:g}.", remedy)
    return Finding(status=Status.OK, message=f"{message}.", rows=whole)


@check(needs=(queues.SYSTEM,), treated_by=treated_by("queues/monitor", "shows each queue"))
def calm(target: Target) -> Finding:
    """Queues before the deployment"""
    if not Queues.of(target).url:
        return not_checked(f"Not checked: target {target.name} names no queues.")
    findings = [queues.depth(target), queues.failures(target), queues.pauses(target)]
    bad = [finding for finding in findings if finding.status in (Status.WARN, Status.CRIT)]
    if bad:
        return _missing(" ".join(finding.message for finding in bad))
    unknown = [finding.message for finding in findings if finding.status is Status.UNKNOWN]
    if unknown:
        return Finding(status=Status.UNKNOWN, message=" ".join(unknown))
    return Finding(status=Status.OK, message=" ".join(finding.message for finding in findings))


@check(treated_by="the message says what is missing")
def alerts(target: Target, by: str) -> Finding:
    """Monitoring"""
    config = load_config()
    rows: list[Row] = [
        {"schedule": schedule.name, "runbook": schedule.runbook, "cron": schedule.cron}
        for schedule in config.schedules
        if target.name in config.matching(schedule.targets)
    ]
    if not rows:
        return _confirmed(by, f"No schedule of opsnb.toml checks {target.name}.", "watched_by")
    names = ", ".join(row["schedule"] for row in rows)
    return Finding(status=Status.OK, message=f"Checked on schedule: {names}.", rows=rows)


@check(needs=(host.SYSTEM,), treated_by="the message says what is missing")
def rollback(target: Target) -> Finding:
    """Rollback"""
    finding = deploy.clean(target)
    if finding.status is not Status.OK:
        return finding
    if not Deploy.of(target).go_back:
        return _missing(f"`go_back` is not configured in [targets.{target.name}.deploy].")
    how = (
        "with its migration" if Deploy.of(target).migrate_down else "migrations by the backup alone"
    )
    return finding.model_copy(
        update={"message": f"{finding.message} A rollback is configured, {how}."}
    )


def demand(target: Target, *, apply: bool, hours: float, unchecked_by: str = "") -> None:
    """Raise Refused for a deployment whose checklist is missing or not complete.

    The newest one of the last `hours` counts; `unchecked_by` names who does without. A run that
    continues another has passed it before.
    """
    if not apply or continued() or unchecked_by.strip():
        return
    without = "If it cannot wait: -p unchecked_by=NAME"
    newest = list(past_runs(target, now() - timedelta(hours=hours), (CHECKLIST,)))[-1:]
    if not newest:
        raise Refused(
            f"No checklist was gone through in the last {hours:g} hours: "
            f"{commands.run(CHECKLIST, target)}. {without}"
        )
    missing = [finding.title for finding in newest[0].findings if finding.status in _BLOCKS]
    if missing or newest[0].error:
        raise Refused(
            f"The checklist {newest[0].run_id} lacks: {', '.join(missing) or 'its end'}. {without}"
        )


def _confirmed(by: str, otherwise: str, parameter: str) -> Finding:
    """Return a finding that rests on a person's word instead of a measurement."""
    if name := by.strip(" -"):
        return Finding(status=Status.OK, message=f"Confirmed by {name}.")
    return _missing(f"{otherwise} If it was done: -p {parameter}=NAME.")


def _missing(message: str, *remedies: Remedy) -> Finding:
    return Finding(status=Status.CRIT, message=message, remedies=list(remedies))
