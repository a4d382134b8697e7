"""Why the service is down: what it depends on, its processes, its machine.

Handbook, section 6.1. What the service depends on is ranked before its own processes, which
cannot run without it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from opsnb.checks import evidence
from opsnb.checks.causes import explains, likely, not_checked, ruled_out
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, NotConfigured, ServiceError
from opsnb.machine.waiting import attempts
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.systems import api, dependencies, host, processes
from opsnb.systems.processes.settings import Processes
from opsnb.view.formats import span

RECORDED_AS = "outage"

CLEAR = Remedy.of(
    "maintenance/weekly",
    "shows the old logs and jobs that can go; with --apply they go",
    packages=False,
    outside_window=True,
)
"""Makes room on a disk."""

_KEYS: dict[str, str] = {"redis": "redis_url", "postgres": "database_url"}
_EVERY_S = 2.0
_POLL_S = 0.5
_LONGEST_S = 7 * 24 * 3600.0

# Shares of an outage, as each cause explains those that follow.
_DISK_SHARE, _STORE_SHARE, _PROCESS_SHARE, _SILENT_SHARE = 1.0, 0.9, 0.8, 0.6


@check(
    limit_s=120.0,
    condition="api.health",
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
)
def service(target: Target, wait_s: float = 0) -> Finding:
    """Service health.

    By its health check, whose body counts too. A service that has just started gets `wait_s`.
    """
    for _ in attempts(wait_s, _POLL_S):
        if (finding := _answer(target)).status is Status.OK:
            break
    return finding


def _answer(target: Target) -> Finding:
    try:
        finding = api.health(target)
    except (NotConfigured, Misconfigured):
        raise
    except ServiceError as error:
        return Finding(status=Status.CRIT, message=str(error))
    return Finding(status=finding.status, message=finding.message, rows=finding.rows)


@check(limit_s=20.0, is_cause=True, treated_by="start it by hand", condition="cache.ping")
def redis(target: Target) -> Finding:
    """Redis down"""
    return _dependency(target, "redis")


@check(limit_s=20.0, is_cause=True, treated_by="start it by hand", condition="database.ping")
def postgres(target: Target) -> Finding:
    """PostgreSQL down"""
    return _dependency(target, "postgres")


def _dependency(target: Target, name: str) -> Finding:
    known = dependencies.dependency(target, name)
    if known is None:
        return not_checked(f"Target {target.name} names no {_KEYS[name]}.")
    if known.state == "up":
        return ruled_out(known.said)
    if known.state == "unknown":
        raise BadAnswer(name, known.said)
    message, remedies = known.said, []
    if not known.is_away:
        message += f" {known.title} runs, so a restart would not fix it."
    elif known.command:
        remedies = [_start(f"starts {known.title}, then what else is down")]
    else:
        message += (
            f" Start {known.title} by hand, or set {name} in [targets.{target.name}.restart]."
        )
    return likely(message, _STORE_SHARE, *remedies, status=Status.CRIT)


@check(needs=(host.SYSTEM,), limit_s=20.0, is_cause=True, condition="processes.up")
def not_up(target: Target) -> Finding:
    """Processes down"""
    finding = processes.up(target)
    remedy = (
        _start("starts what is down, and only that")
        if finding.value
        else Remedy.of("incidents/high_error_rate", "shows why it keeps failing")
    )
    return explains(finding, _PROCESS_SHARE, remedy)


@check(needs=(host.SYSTEM,), limit_s=20.0, is_cause=True)
def silent(target: Target) -> Finding:
    """API not responding, its process up"""
    try:
        return ruled_out(api.health(target).message)
    except (NotConfigured, Misconfigured):
        raise
    except ServiceError as error:
        if api.is_untrusted(error):  # a restart changes no certificate
            return likely(
                str(error),
                _SILENT_SHARE,
                status=Status.CRIT,
                untreated="renew its certificate by hand",
            )
        answered = str(error)
    finding = processes.up(target)
    if finding.value:
        return ruled_out("Processes are down, which is a cause of its own.")
    names = dict.fromkeys(row["name"] for row in finding.rows if row["up"])
    return likely(
        f"{answered} Yet {Processes.of(target).manager} reports all processes as up.",
        _SILENT_SHARE,
        *[
            Remedy.of("incidents/service_down", f"restarts {name}", apply=True, process=name)
            for name in names
        ],
        status=Status.CRIT,
        rows=finding.rows,
    )


machine = host.reachable.as_cause("Machine not reachable")
"""A cause, since nothing on the machine can be read."""


@check(needs=(host.SYSTEM,), is_cause=True)
def disk_full(target: Target) -> Finding:
    """Disk full"""
    finding = host.disk(target)
    limit = target.limit("disk_full_percent")
    full = [row for row in finding.rows if _used_percent(row) >= limit]
    if not full:
        return ruled_out(finding.message, rows=finding.rows)
    return likely(
        f"{finding.message} Whatever writes there fails.",
        _DISK_SHARE,
        CLEAR,
        status=Status.CRIT,
        value=finding.value,
        unit=finding.unit,
        rows=full,
    )


def _used_percent(row: Row) -> float:
    return max(row.get("used_percent") or 0.0, row.get("inodes_percent") or 0.0)


@check(
    limit_s=_LONGEST_S,
    treated_by=treated_by("incidents/high_error_rate", "shows why it keeps failing"),
)
def stable(target: Target, minutes: float) -> Finding:
    """Stability of the service.

    Sends a request every two seconds for `minutes`, or a single one when that is 0.
    """
    before = _restarts(target) if minutes else None
    began = time.monotonic()
    rows = [_sample(target, began)]
    while (left_s := began + minutes * 60 - time.monotonic()) > 0:
        time.sleep(min(_EVERY_S, left_s))
        rows.append(_sample(target, began))
    failed = [row for row in rows if not row["answered"]]
    after = _restarts(target) if minutes else None
    restarted = _restarted(before, after)
    over = f" over {span(minutes * 60)}" if minutes else ""
    words = [f"The service answered {len(rows) - len(failed)} of {len(rows)} times{over}"]
    if failed:
        words = [f"The service failed {len(failed)} of {len(rows)} times{over}"]
        words.append(f"the last failure: {failed[-1]['said'].rstrip('.')}")
    if before is not None and after is not None:
        words.append(f"restarted meanwhile: {', '.join(restarted)}" if restarted else "no restart")
    return Finding(
        status=Status.CRIT if failed or restarted else Status.OK,
        message="; ".join(words).rstrip(".") + ".",
        value=len(failed),
        unit="failures",
        rows=rows,
    )


def _sample(target: Target, began: float) -> Row:
    clock = time.perf_counter()
    finding = _answer(target)
    return {
        "at_s": round(time.monotonic() - began, 1),
        "ms": round((time.perf_counter() - clock) * 1000, 1),
        "answered": finding.status is Status.OK,
        "said": finding.message,
    }


def _restarts(target: Target) -> dict[str, int] | None:
    """Return how often each process was restarted; None when its manager does not say."""
    try:
        groups = processes.groups_of(processes.listed(target), Processes.of(target))
    except (ServiceError, processes.DaemonGone) as error:
        evidence.without(f"restarts of the processes, for {str(error).rstrip('.')}")
        return None
    return {name: sum(process.restarts or 0 for process in group) for name, group in groups.items()}


def _restarted(before: dict[str, int] | None, after: dict[str, int] | None) -> Sequence[str]:
    if before is None or after is None:
        return []
    return [name for name, count in after.items() if count > before.get(name, count)]


def _start(why: str) -> Remedy:
    return Remedy.of("incidents/service_down", why, apply=True)
