"""The release on the target's host, and the commands that change it.

Handbook, section 8. All of them come from `[targets.NAME.deploy]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from opsnb.actions.action import Permit, require
from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, NotConfigured
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.redaction import outside
from opsnb.systems import api, processes
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import ProgramFailed, ProgramMissing, host_of
from opsnb.systems.processes.settings import Processes

SYSTEM = "deploy"
_LOOK_S = 10.0
_TESTS_LIMIT_S = 900.0
_MOST_LINES = 20
_LONGEST_LINE = 200
_MOST_SAID = 20_000


def release(target: Target) -> str:
    """Return which release is on the host. Raises NotConfigured, BadAnswer."""
    return _read(target, Deploy.of(target).release)


def release_before(target: Target) -> str:
    """Return the release before this one, by the working copy. Raises BadAnswer."""
    return _read(target, Deploy.of(target).before)


def restart(target: Target) -> Sequence[str]:
    """Return the command that starts the release, by default for the named processes alone.

    `pm2 restart all` would also start scripts that have done their work, and other services.
    Raises NotConfigured where nothing says how it is done.
    """
    settings, kept = Deploy.of(target), Processes.of(target)
    if "restart" in settings.model_fields_set or not settings.folder:
        return settings.restart
    if kept.manager == "docker" or not (kept.names or kept.manager == "pm2"):
        raise NotConfigured(
            SYSTEM,
            f"Nothing says how {target.name} is started: set restart in "
            f"[targets.{target.name}.deploy].",
        )
    if kept.names:
        return [*processes.program(kept), "restart", *kept.names]
    try:
        found = processes.listed(target)
    except processes.DaemonGone as gone:
        raise BadAnswer(SYSTEM, f"{gone} Start it first.") from gone
    except Misconfigured as missing:
        # It may be on the PATH of the release alone; the handbook's command is all that is known.
        evidence.partial(f"which processes the release restarts: {missing}")
        return settings.restart
    names = [each.name for each in found if not (each.is_finished or each.is_job)]
    return [*processes.program(kept), "restart", *dict.fromkeys(names or ["all"])]


def is_release(target: Target, name: str) -> bool:
    """Return whether the working copy knows a release of that name. Raises NotConfigured."""
    if not name.strip() or name.startswith("-"):
        return False
    if not Deploy.of(target).known:
        return True  # there is nothing to compare
    try:
        _read(target, [_filled(word, {"release": name}) for word in Deploy.of(target).known])
    except ProgramFailed:
        return False
    return True


def do(target: Target, permit: Permit, command: Sequence[str], **words: str) -> str:
    """Run a command of the deployment to its end and return what it printed.

    `words` are put in place of their names in braces. Raises Refused without a valid permit,
    ProgramFailed, and TimedOut when it had to be ended with all that it had started.
    """
    require(permit)
    limit = Deploy.of(target).limit_s
    filled = [_filled(word, words) for word in command]
    return _run(target, filled, limit)


@check(needs=(HOST,), treated_by="commit or discard the changes by hand")
def clean(target: Target) -> Finding:
    """Working copy of the release"""
    at = release(target)
    changed = outside.text(_read(target, Deploy.of(target).changes)).splitlines()
    if changed:
        return Finding(
            status=Status.CRIT,
            message=f"{len(changed)} files in {Deploy.of(target).folder} were changed by hand; a "
            "deployment would fail over them, or lose them.",
            rows=[{"changed": line.strip()} for line in changed[:_MOST_LINES]],
        )
    message = f"Release {at} is in {Deploy.of(target).folder}, unchanged."
    return Finding(status=Status.OK, message=message, rows=[{"release": at}])


@check(
    needs=(HOST,),
    limit_s=_TESTS_LIMIT_S,
    treated_by="correct the code or its tests before you deploy",
)
def tests(target: Target) -> Finding:
    """Tests"""
    if not Deploy.of(target).tests:
        raise NotConfigured(SYSTEM, f"`tests` is not configured in [targets.{target.name}.deploy].")
    try:
        said = _run(target, Deploy.of(target).tests, _TESTS_LIMIT_S)
    except ProgramFailed as error:
        return Finding(status=Status.CRIT, message=str(error), rows=_lines(error.output))
    last = outside.last_line(said, _LONGEST_LINE) or "without a word"
    return Finding(status=Status.OK, message=f"They passed: {last}.")


@check(needs=(HOST,))
def pending(target: Target) -> Finding:
    """Pending migrations"""
    if not Deploy.of(target).pending:
        raise NotConfigured(
            SYSTEM, f"`pending` is not configured in [targets.{target.name}.deploy]."
        )
    found = _read(target, Deploy.of(target).pending)
    rows = _lines(found)
    count = len(found.splitlines())
    message = f"Migrations that would run: {count}."
    return Finding(status=Status.OK, message=message, value=count, rows=rows)


def _treats_paths(_: Target, __: Finding) -> list[Remedy]:
    return [
        Remedy.of("deployment/rollback", "returns to the previous release"),
        Remedy.of("incidents/service_down", "finds what is down, if no release broke it"),
    ]


@check(needs=(api.SYSTEM,), limit_s=30.0, treated_by=_treats_paths)
def paths(target: Target) -> Finding:
    """Critical paths"""
    rows: list[Row] = []
    with api.client(target) as http:
        for path in Deploy.of(target).paths:
            answer = http.get(path)
            rows.append({"path": path, "status": answer.status_code})
    bad = [row for row in rows if row["status"] != httpx.codes.OK]
    answers = ", ".join(f"GET {row['path']} answered {row['status']}" for row in bad or rows)
    return Finding(
        status=Status.CRIT if bad else Status.OK,
        message=f"{answers or 'No paths are named'}.",
        value=len(bad),
        unit="failed",
        rows=rows,
    )


def _read(target: Target, command: Sequence[str]) -> str:
    return _run(target, command, _LOOK_S).strip()


def _run(target: Target, command: Sequence[str], limit_s: float) -> str:
    folder = Deploy.of(target).folder
    if not folder:
        raise NotConfigured(
            SYSTEM,
            f"How {target.name} is deployed is not configured: set folder in "
            f"[targets.{target.name}.deploy] to the service's working copy.",
        )
    if not command:
        raise NotConfigured(SYSTEM, f"A command of [targets.{target.name}.deploy] is empty.")
    host = host_of(target, SYSTEM, limit_s + 1)
    # For the manager's program, which one of the commands calls.
    env = processes.environment(host, Processes.of(target))
    try:
        return host.run_in(folder, command, limit_s, env)
    except ProgramMissing as error:
        raise Misconfigured(
            SYSTEM, f"{error} Correct that command in [targets.{target.name}.deploy]."
        ) from error


def _filled(word: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def _lines(text: str) -> list[Row]:
    last = outside.tail(text.strip(), _MOST_SAID).splitlines()[-_MOST_LINES:]
    return [{"said": line} for line in last]
