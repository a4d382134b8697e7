"""Why statements are slow: a missing index, a lock, too many connections, or old statistics.

Handbook, section 5.3.
"""

from __future__ import annotations

from opsnb.checks import evidence
from opsnb.checks.causes import explains, likely, ruled_out
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.machine.waiting import attempts
from opsnb.model import Finding, Remedy, Status
from opsnb.redaction import outside
from opsnb.systems import database
from opsnb.systems.database import Advice, Statement
from opsnb.view.formats import counted

RECORDED_AS = "slowness"
_SYSTEMS = (database.SYSTEM,)
_WATCHING_LIMIT_S = 75.0
_RUNBOOK = "troubleshooting/slow_queries"
_CHECK_AGAIN_S = 0.3
_OFTEN = 2  # calls while watching; a single one may be a person's
_MOST_EXPLAINED = 5
_QUOTED = 80
_MOST_ROWS = 10


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S)
def pace(target: Target, seconds: float = 3) -> Finding:
    """Statement time now"""
    statements = database.busiest(target, seconds)
    slowest = max(_repeated(statements), key=lambda statement: statement.mean_ms, default=None)
    calls = sum(statement.calls for statement in statements)
    message = f"PostgreSQL ended {calls} statements in {seconds:g} s"
    if slowest:
        quote = outside.shortened(slowest.row()["statement"], _QUOTED)
        message += f"; the slowest took {slowest.mean_ms:.1f} ms: {quote}"
    return Finding.measured(
        round(slowest.mean_ms, 2) if slowest else 0.0,
        target.threshold("database_statement_ms"),
        message if message.endswith(".") else f"{message}.",
        rows=[statement.row() for statement in statements[:_MOST_ROWS]],
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def missing_index(target: Target, seconds: float = 3) -> Finding:
    """Missing index"""
    statements = database.busiest(target, seconds)
    limit = target.threshold("database_statement_ms")
    slow = [
        statement
        for statement in _repeated(statements)
        if limit.judge(statement.mean_ms) is not Status.OK
    ]
    if not slow:
        return ruled_out("No statement that ran repeatedly was slow.")
    advice = database.missing_for(target, slow[:_MOST_EXPLAINED])
    if not advice:
        if (more := len(slow) - _MOST_EXPLAINED) > 0:
            evidence.partial(f"the plans of {counted(more, 'more slow statement')}")
        explained = counted(min(len(slow), _MOST_EXPLAINED), "slow statement")
        return ruled_out(f"No missing index in the plans of {explained}.")
    first = advice[0]
    return likely(
        f"A statement that takes {first.statement.mean_ms:.0f} ms reads all "
        f"{first.rows:,} rows of {first.table}; an index on {', '.join(first.columns)} would "
        "serve it.",
        min(1.0, sum(statement.statement.percent for statement in advice) / 100),
        *[_create(statement) for statement in advice],
        value=round(first.statement.mean_ms, 1),
        unit="ms",
        rows=[
            {**statement.statement.row(), "rows read": statement.rows, "fix": statement.command}
            for statement in advice
        ],
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, is_cause=True)
def blocked(target: Target, seconds: float = 3) -> Finding:
    """Blocking session

    A blocked statement may give up and be sent again, so it is checked again for `seconds`.
    """
    for _ in attempts(seconds, _CHECK_AGAIN_S):
        if (finding := database.blocking(target)).status is not Status.OK:
            break
    if not finding.is_alarm:
        return finding
    remedy = Remedy.of(
        _RUNBOOK,
        "shows the session that blocks; with --apply ends it",
        end_pid=int(finding.rows[0]["session"]),
    )
    return explains(finding, 1.0, remedy)


@check(needs=_SYSTEMS, is_cause=True, condition="database.connections")
def flooded(target: Target) -> Finding:
    """Connections exhausted"""
    finding = database.connections(target)
    if not finding.is_alarm:
        return finding
    share = min(1.0, (finding.value or 0.0) / 100)
    clients = Remedy.of("database/connections", "shows all clients")
    most = max(finding.rows, key=lambda row: int(row["idle"]) + int(row["idle_in_transaction"]))
    if not most["idle"] + most["idle_in_transaction"]:
        return explains(finding, share, clients)
    application = most["application"]
    message = f"{finding.message} Most are idle ones of {application}."
    end_idle = Remedy.of(
        _RUNBOOK,
        "shows its idle sessions; with --apply ends them",
        end_idle_of=application,
        idle_longer_than="5s",
    )
    finding = finding.model_copy(update={"message": message})
    return explains(finding, share, end_idle, clients)


running_long = database.long_queries.given().as_cause(
    "Long-running queries",
    0.7,
    treated_by("database/connections", "shows them; with --apply it ends them"),
    name=f"{RECORDED_AS}.running_long",
)

unvacuumed = database.vacuum_state.given().as_cause(
    "Tables in need of VACUUM",
    0.3,
    treated_by("database/analyze", "shows what VACUUM ANALYZE would do"),
    name=f"{RECORDED_AS}.unvacuumed",
)


def _repeated(statements: list[Statement]) -> list[Statement]:
    return [statement for statement in statements if statement.calls >= _OFTEN]


def _create(advice: Advice) -> Remedy:
    return Remedy.of(
        _RUNBOOK,
        "shows the plan; with --apply the index is created, concurrently",
        index_table=advice.table,
        index_columns=",".join(advice.columns),
    )
