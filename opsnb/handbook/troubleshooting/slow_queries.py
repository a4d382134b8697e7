"""Why statements are slow: a missing index, a lock, too many connections, or old statistics.

Handbook, section 5.3.
"""

from __future__ import annotations

import time

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Remedy, Row, Status
from opsnb.redaction import outside
from opsnb.systems import database
from opsnb.systems.database import Advice, Statement

RECORDED_AS = "slowness"
"""How records name its checks and actions: a name never changes, so that histories go on."""

_SYSTEMS = (database.SYSTEM,)
_WATCHING_LIMIT_S = 75.0
_RUNBOOK = "troubleshooting/slow_queries"
_LOOK_AGAIN_S = 0.3
_OFTEN = 2  # calls while it was watched; what ran once may have been a person
_MOST_EXPLAINED = 5
_QUOTED = 80
_MOST_ROWS = 10


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S)
def pace(target: Target, seconds: float = 3) -> Finding:
    """Statement time now"""
    found = database.busiest(target, seconds)
    slowest = max(_repeated(found), key=lambda each: each.mean_ms, default=None)
    calls = sum(each.calls for each in found)
    message = f"PostgreSQL ended {calls} statements in {seconds:g} s"
    if slowest:
        quote = outside.head(slowest.row()["statement"], _QUOTED)
        message += f"; the slowest took {slowest.mean_ms:.1f} ms: {quote}"
    return Finding.measured(
        round(slowest.mean_ms, 2) if slowest else 0.0,
        target.threshold("database_statement_ms"),
        message + ".",
        rows=[each.row() for each in found[:_MOST_ROWS]],
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def missing_index(target: Target, seconds: float = 3) -> Finding:
    """Missing index"""
    found = database.busiest(target, seconds)
    limit = target.threshold("database_statement_ms")
    slow = [each for each in _repeated(found) if limit.judge(each.mean_ms) is not Status.OK]
    if not slow:
        message = "No statement that ran again and again was slow."
        return Finding(status=Status.OK, message=message)
    advice = database.missing_for(target, slow[:_MOST_EXPLAINED])
    if not advice:
        message = f"The plans of {len(slow)} slow statements show no index that is missing."
        return Finding(status=Status.OK, message=message)
    first = advice[0]
    return Finding(
        status=Status.WARN,
        message=f"A statement that takes {first.statement.mean_ms:.0f} ms reads all "
        f"{first.rows:,} rows of {first.table}; an index on {', '.join(first.columns)} would "
        "serve it.",
        value=round(first.statement.mean_ms, 1),
        unit="ms",
        rows=[_advice_row(each) for each in advice],
        share=min(1.0, sum(each.statement.percent for each in advice) / 100),
        remedies=[_create(each) for each in advice],
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def blocked(target: Target, seconds: float = 3) -> Finding:
    """Blocking session

    Who waits may give up soon and come again, so it looks again until somebody is seen to wait.
    """
    ends = time.monotonic() + seconds
    while (found := database.blocking(target)).status is Status.OK:
        if time.monotonic() > ends:
            return found
        time.sleep(_LOOK_AGAIN_S)
    if found.status is Status.UNKNOWN:
        return found
    blocker = int(found.rows[0]["session"])
    return found.model_copy(
        update={
            "share": 1.0,
            "remedies": [
                Remedy(
                    runbook=_RUNBOOK,
                    parameters={"end_pid": blocker},
                    why="shows the session that blocks; with --apply it is ended",
                )
            ],
        }
    )


@check(needs=_SYSTEMS, is_cause=True, condition="database.connections")
def flooded(target: Target) -> Finding:
    """Connections exhausted"""
    found = database.connections(target)
    if found.status in (Status.OK, Status.UNKNOWN):
        return found
    shown = Remedy(runbook="database/connections", why="shows all clients")
    most = max(found.rows, key=lambda row: int(row["idle"]) + int(row["idle_in_transaction"]))
    share = min(1.0, (found.value or 0.0) / 100)
    if not most["idle"] + most["idle_in_transaction"]:
        return found.model_copy(update={"share": share, "remedies": [shown]})
    return found.model_copy(
        update={
            "message": f"{found.message} Most are idle ones of {most['application']}.",
            "share": share,
            "remedies": [
                Remedy(
                    runbook=_RUNBOOK,
                    parameters={"end_idle_of": most["application"], "idle_longer_than": "5s"},
                    why="shows its idle sessions; with --apply they are ended",
                ),
                shown,
            ],
        }
    )


@check(needs=_SYSTEMS, is_cause=True, condition="database.long_queries")
def running_long(target: Target) -> Finding:
    """Long-running queries"""
    found = database.long_queries(target)
    if found.status in (Status.OK, Status.UNKNOWN):
        return found
    remedy = Remedy(runbook="database/connections", why="shows them; with --apply it ends them")
    return found.model_copy(update={"share": 0.7, "remedies": [remedy]})


@check(needs=_SYSTEMS, is_cause=True, condition="database.vacuum_state")
def unvacuumed(target: Target) -> Finding:
    """Tables in need of VACUUM"""
    found = database.vacuum_state(target)
    if found.status in (Status.OK, Status.UNKNOWN):
        return found
    remedy = Remedy(runbook="database/analyze", why="shows what VACUUM ANALYZE would do")
    return found.model_copy(update={"share": 0.3, "remedies": [remedy]})


def _repeated(statements: list[Statement]) -> list[Statement]:
    return [each for each in statements if each.calls >= _OFTEN]


def _create(advice: Advice) -> Remedy:
    return Remedy(
        runbook=_RUNBOOK,
        parameters={"index_table": advice.table, "index_columns": ",".join(advice.columns)},
        why="shows the plan; with --apply the index is created, concurrently",
    )


def _advice_row(advice: Advice) -> Row:
    return {**advice.statement.row(), "rows read": advice.rows, "fix": advice.command}
