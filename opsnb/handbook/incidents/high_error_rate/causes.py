"""Why there are many errors: a release, what the service stands on, another's service, its code.

Handbook, section 6.2. Errors are grouped by what they say, without numbers and ids; when those of a
group began is compared with when processes were started and when Redis or PostgreSQL was lost.
"""

from __future__ import annotations

from collections import Counter

from opsnb.checks import evidence
from opsnb.checks.check import check, explains, ruled_out, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured, ServiceError, Unreachable
from opsnb.handbook.deployment.deployments import Deployment
from opsnb.handbook.error_causes import REDIS_IS_FULL, Cause
from opsnb.handbook.incidents.high_error_rate.window import Alike, Seen, errors_of
from opsnb.handbook.incidents.high_error_rate.window import Window as Window  # noqa: PLC0414 - for cells
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.redaction import outside
from opsnb.systems import dependencies, host, logs, queues
from opsnb.systems.processes.settings import Processes
from opsnb.view.formats import and_list, span, utc

RECORDED_AS = "errors"
"""How records name its checks and actions: a name never changes, so that histories go on."""

_LIMIT_S = 60.0
_PRECEDES_S = 120.0  # what happened so long before the errors began may have caused them
_BINS = 60
_MOST_ROWS = 10
_MOST_LINE = 1000
_LOST_MOST = 5
_MOST_QUEUES = 3
_REQUESTS_MIN = 15.0  # whose failed requests are counted, at most
_NO_FAILED_MIN = 1.0  # without a failed request, when they have ended
_AWAY, _STARTED, _FAILING = 1.0, 0.97, 0.6
_ALSO = 0.2  # a second symptom, which stands behind what explains the first
_MOST_SHARE = 0.95  # of what is known by words alone

_SPEAKS_OF: dict[str, Cause] = {"redis": "redis", "postgres": "database"}
_OWN: tuple[Cause, ...] = ("code", "worker", "child")
_MAKE_ROOM = (
    Remedy(runbook="cache/health", why="shows how full it is, and its eviction policy"),
    Remedy(runbook="cache/key_patterns", why="shows which keys take the memory"),
)


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S)
def rate(target: Target, window: Window) -> Finding:
    """Errors in the log"""
    seen = window.of(target)
    rows = sorted(logs.groups(seen.window.errors), key=lambda row: -int(row["count"]))
    since = "the action" if seen.hours < window.hours else ""
    words = [logs.sentence(rows, seen.count, window.hours, since=since)]
    if seen.alike:
        words.append(_when(seen))
    message = " ".join([*words, *seen.window.notes])
    found = Finding.measured(
        seen.count, target.threshold("log_errors"), message, rows=rows[:_MOST_ROWS]
    )
    return found.model_copy(update={"status": Status.OK}) if seen.ended is not None else found


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def deployed(target: Target, window: Window) -> Finding:
    """Recent deployment"""
    seen = window.of(target)
    rows: list[Row] = [
        {"at": logs.iso(each.began), "runbook": each.runbook, "run": each.run_id}
        for each in seen.deployed
    ]
    if few := _few(target, seen):
        return ruled_out(few, rows)
    preceded = [(each, last) for each in seen.going_on if (last := _deployment(seen, each))]
    if not preceded:
        return ruled_out(
            f"No deployment of {target.name} is recorded just before they began.", rows
        )
    there = [(each, last) for each, last in preceded if not _rollback(seen, last)]
    if not there:
        _, last = preceded[0]
        back = _rollback(seen, last)
        assert back is not None  # each of them was rolled back
        return ruled_out(
            f"{last.run_id} preceded them, and was rolled back by {back.run_id}.", rows
        )
    first, last = there[0]
    ours = [each for each, other in there if other is last]
    return Finding(
        status=Status.CRIT,
        message=f"{seen.such(ours)} began {span(first.begun - last.began)} after the deployment "
        f"{last.run_id} had begun.",
        rows=rows,
        share=_STARTED * len(errors_of(ours)) / len(seen.current),
        remedies=[Remedy(runbook="deployment/rollback", why="returns to the previous release")],
    )


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def started(target: Target, window: Window) -> Finding:
    """Recent restart"""
    seen = window.of(target)
    if not seen.started:
        message = f"{Processes.of(target).manager} does not report when the processes started."
        return Finding(status=Status.UNKNOWN, message=message)
    rows: list[Row] = [
        {"process": name, "started": logs.iso(at)} for name, at in sorted(seen.started.items())
    ]
    if few := _few(target, seen):
        return ruled_out(few, rows)
    ours = [each for each in seen.going_on if _starts_before(seen, each)]
    if not ours:
        return ruled_out(
            f"No process was started within {span(_PRECEDES_S)} before they began.", rows
        )
    before = _starts_before(seen, ours[0])
    after, begun = max(0.0, min(before.values())), errors_of(ours)
    own = sum(seen.cause(entry) in _OWN for _, entry in begun)
    return Finding(
        status=Status.WARN,
        message=f"{seen.such(ours)} began {span(after)} after the start of "
        f"{and_list(sorted(before))}; {own} of {len(begun)} point to the service "
        "itself.",
        rows=rows,
        # A start explains little of what other services do wrong.
        share=_STARTED * own / len(seen.current),
        remedies=[
            Remedy(
                runbook="deployment/rollback",
                why="returns to the previous release, if the restart deployed one",
            )
        ],
    )


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def redis(target: Target, window: Window) -> Finding:
    """Redis down or lost"""
    return _dependency(target, window, "redis")


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def postgres(target: Target, window: Window) -> Finding:
    """PostgreSQL down or lost"""
    return _dependency(target, window, "postgres")


def _dependency(target: Target, window: Window, name: str) -> Finding:
    known, seen = dependencies.dependency(target, name), window.of(target)
    lost = seen.lost[name]
    rows: list[Row] = [
        {"at": logs.iso(at), "line": outside.head(line, _MOST_LINE)}
        for at, line in lost[-_MOST_ROWS:]
    ]
    if known is None:
        return ruled_out(f"The target names no {name}.")
    if known.state != "up":
        return Finding(
            status=Status.CRIT,
            message=known.said,
            rows=rows,
            share=_AWAY,
            remedies=[
                Remedy(runbook="incidents/service_down", apply=True, why=f"starts {known.title}")
            ],
        )
    ours = seen.about(_SPEAKS_OF[name])
    few = _few(target, seen)
    if few or not ours:
        message = few or f"{seen.counted(ours)} mention it."
        return ruled_out(f"{known.said} {message}", rows)
    share = _MOST_SHARE * len(ours) / len(seen.current)
    full = [each for each in ours if name == "redis" and REDIS_IS_FULL.search(each[1].message)]
    if full:
        return Finding(
            status=Status.WARN,
            message=f"Redis responds, but is full: {seen.counted(ours)} mention it, {len(full)} "
            "of them of its memory.",
            rows=rows,
            share=share,
            remedies=list(_MAKE_ROOM),
        )
    begun = min(each.begun for each in seen.going_on)
    before = [
        at for at, line in lost if at >= begun - _PRECEDES_S and not REDIS_IS_FULL.search(line)
    ]
    lost_words = (
        f"{len(before)} log lines report it as lost, the last at {utc(before[-1])}; "
        if before
        else ""
    )
    return Finding(
        status=Status.WARN,
        message=f"{known.title} responds now, but {lost_words}{seen.counted(ours)} mention it.",
        rows=rows,
        share=share,
        remedies=[Remedy(runbook="incidents/service_down", why="checks whether it stays up")],
    )


def _queues_that_fail(target: Target, _: Finding) -> list[Remedy]:
    """Return what shows the failing jobs of each queue that has some; the worst first."""
    try:
        with evidence.collected():  # what could not be seen of them is no gap of the cause
            rows = queues.failures(target).rows
    except ServiceError:
        rows = []
    failing = [row["queue"] for row in rows if row.get("failed")]
    return [
        Remedy(
            runbook="troubleshooting/failed_jobs",
            parameters={"queue": queue},
            why="shows which jobs fail because of it",
        )
        for queue in failing[:_MOST_QUEUES]
    ] or [Remedy(runbook="queues/monitor", why="shows which queues wait for it")]


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True, treated_by=_queues_that_fail)
def upstream(target: Target, window: Window) -> Finding:
    """Failing upstream service"""
    words = "mention an upstream service"
    return _worded(target, window, words, ("upstream", "connection"))


@check(
    needs=(host.SYSTEM,),
    limit_s=_LIMIT_S,
    is_cause=True,
    treated_by=treated_by(
        "deployment/rollback", "returns to the previous release, if the defect is new"
    ),
)
def code(target: Target, window: Window) -> Finding:
    """Defect in the service"""
    return _worded(target, window, "point to the service itself", _OWN)


@check(is_cause=True)
def failing_jobs(target: Target) -> Finding:
    """Failing jobs"""
    try:
        found = queues.failures(target)
    except Unreachable as error:
        # Redis down is a cause of its own.
        raise BadAnswer(queues.SYSTEM, f"The queues could not be asked: {error}") from error
    limit = found.threshold
    bad = [
        row
        for row in found.rows
        if limit
        and row["failed_percent"] is not None
        and limit.judge(row["failed_percent"]) is not Status.OK
    ]
    if not bad:
        return found
    return Finding(
        status=Status.WARN,
        message=found.message,
        rows=bad,
        share=_FAILING,
        remedies=[
            Remedy(
                runbook="troubleshooting/failed_jobs",
                parameters={"queue": row["queue"]},
                why="shows why",
            )
            for row in bad
        ],
    )


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S, is_cause=True)
def failed_requests(target: Target, window: Window) -> Finding:
    """Failing requests"""
    try:
        found = logs.error_rate(target, min(60 * window.hours, _REQUESTS_MIN))
        if not found.is_alarm:
            return found
        # Those of a fault that was fixed stay in the log: only a failure of now counts.
        is_over = not logs.error_rate(target, _NO_FAILED_MIN).value
    except NotConfigured as error:
        # Many targets have none, and the errors can be explained without.
        return ruled_out(str(error))
    if is_over:
        message = f"{found.message} None of them did in the last {span(60 * _NO_FAILED_MIN)}."
        return found.model_copy(update={"status": Status.OK, "message": message})
    remedy = Remedy(
        runbook="incidents/performance_degradation",
        why="checks what the requests depend on, when the log has no error",
    )
    return explains(found.model_copy(update={"status": Status.WARN}), _ALSO, remedy)


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S)
def course(target: Target, window: Window) -> Finding:
    """Errors over time"""
    seen = window.of(target)
    width = window.hours * 3600 / _BINS
    bins = Counter(
        min(_BINS - 1, int((entry.at - seen.window.since) / width))
        for _, entry in seen.window.errors
    )
    rows: list[Row] = [
        {"at": logs.iso(seen.window.since + place * width), "errors": bins[place]}
        for place in range(_BINS)
    ]
    message = f"{seen.count} errors; at most {max(bins.values(), default=0)} in {span(width)}."
    return Finding(status=Status.OK, message=message, unit=f"errors in {span(width)}", rows=rows)


@check(needs=(host.SYSTEM,), limit_s=_LIMIT_S)
def events(target: Target, window: Window) -> Finding:
    """Deployments, restarts and lost connections"""
    seen = window.of(target)
    found: list[tuple[float, str]] = [
        (at, f"{name} started") for name, at in seen.started.items() if at >= seen.window.since
    ]
    found += [(each.began, each.runbook) for each in seen.deployed]
    for name, lost in seen.lost.items():
        found += [
            (at, f"{name} {'full' if REDIS_IS_FULL.search(line) else 'lost'}")
            for at, line in lost[-_LOST_MOST:]
        ]
    rows: list[Row] = [{"at": logs.iso(at), "event": event} for at, event in sorted(found)]
    message = f"Deployments, restarts and lost connections to Redis or PostgreSQL: {len(rows)}."
    return Finding(status=Status.OK, message=message, rows=rows)


def _when(seen: Seen) -> str:
    """Return when the errors began: the most of those that go on, or all when none does."""
    if seen.ended is not None:
        begun = min(each.begun for each in seen.alike)
        return f"They began at {utc(begun)} and ended at {utc(seen.ended)}."
    first = seen.going_on[0]
    which = "" if len(first.errors) == seen.count else f"{seen.such([first])} go on. "
    return f"{which}They began at {utc(first.begun)}."


def _deployment(seen: Seen, alike: Alike) -> Deployment | None:
    """Return the last deployment that these errors began with."""
    before = [
        each for each in seen.deployed if each.began - 1 < alike.begun < each.ended + _PRECEDES_S
    ]
    return before[-1] if before else None


def _rollback(seen: Seen, deployment: Deployment) -> Deployment | None:
    """Return what took a deployment back since."""
    back = [each for each in seen.deployed if each.is_rollback and each.began > deployment.began]
    return back[-1] if back else None


def _starts_before(seen: Seen, alike: Alike) -> dict[str, float]:
    """Return how long before these errors processes were started, of those just before."""
    return {
        name: alike.begun - at
        for name, at in seen.started.items()
        if -1 < alike.begun - at < _PRECEDES_S
    }


def _few(target: Target, seen: Seen) -> str:
    """Return why nothing has to be explained, or nothing when there are many errors."""
    if target.threshold("log_errors").judge(seen.count) is Status.OK:
        return f"Log errors: {seen.count}, below the limit."
    if seen.ended is not None:
        return f"The errors ended at {utc(seen.ended)}."
    return ""


def _worded(target: Target, window: Window, words: str, causes: tuple[Cause, ...]) -> Finding:
    """Judge the errors that mention an upstream service, or that point to the service itself."""
    seen = window.of(target)
    if few := _few(target, seen):
        return ruled_out(few)
    ours = seen.about(*causes)
    message = f"{seen.counted(ours)} {words}."
    if not ours:
        return ruled_out(message)
    rows = sorted(logs.groups(ours), key=lambda row: -int(row["count"]))
    return Finding(
        status=Status.WARN,
        message=f"{message} Most of all: {rows[0]['sample']}",
        rows=rows[:_MOST_ROWS],
        share=_MOST_SHARE * len(ours) / len(seen.current),
    )
