"""What else fails when there are many errors: jobs, and requests."""

from __future__ import annotations

from opsnb.checks.causes import explains, likely, not_checked
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured, Unreachable
from opsnb.handbook.incidents.high_error_rate.window import Window
from opsnb.model import Finding, Remedy, Status
from opsnb.systems import host, logs, queues
from opsnb.view.formats import span

RECORDED_AS = "errors"
_LIMIT_S = 60.0
_REQUESTS_MIN = 15.0  # the longest time whose failed requests are counted
_NO_FAILED_MIN = 1.0  # after a minute without one, requests no longer fail
_FAILING_SHARE = 0.6
_ALSO_SHARE = 0.2  # a second symptom, ranked behind what explains the first


@check(is_cause=True)
def failing_jobs(target: Target) -> Finding:
    """Failing jobs"""
    try:
        finding = queues.failures(target)
    except Unreachable as error:
        # "Redis down" is a cause of its own.
        raise BadAnswer(queues.SYSTEM, f"The queues could not be asked: {error}") from error
    limit = finding.threshold
    bad = [
        row
        for row in finding.rows
        if limit
        and row["failed_percent"] is not None
        and limit.judge(row["failed_percent"]) is not Status.OK
    ]
    if not bad:
        return finding
    return likely(
        finding.message,
        _FAILING_SHARE,
        *(Remedy.of("troubleshooting/failed_jobs", "shows why", queue=row["queue"]) for row in bad),
        rows=bad,
    )


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def failed_requests(target: Target, window: Window) -> Finding:
    """Failing requests"""
    try:
        finding = logs.error_rate(target, min(60 * window.hours, _REQUESTS_MIN))
        if not finding.is_alarm:
            return finding
        # Requests that failed before the fix stay in the log: only failures of now count.
        is_over = not logs.error_rate(target, _NO_FAILED_MIN).value
    except NotConfigured as error:
        # Many targets have no access log, and the errors can be explained without.
        return not_checked(str(error))
    if is_over:
        message = f"{finding.message} None of them did in the last {span(60 * _NO_FAILED_MIN)}."
        return finding.model_copy(update={"status": Status.OK, "message": message})
    remedy = Remedy.of(
        "incidents/performance_degradation",
        "checks what the requests depend on, when the log has no error",
    )
    return explains(finding.model_copy(update={"status": Status.WARN}), _ALSO_SHARE, remedy)
