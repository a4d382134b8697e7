"""Causes by share: the service, another program, PostgreSQL or Redis uses much of the memory."""

from __future__ import annotations

from opsnb.checks.causes import explains, likely, ruled_out
from opsnb.checks.check import check, treated_by
from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.handbook.troubleshooting.memory.watched import Watch, growth_row, mib
from opsnb.model import Finding, Remedy
from opsnb.systems import cache, database, host, processes

RECORDED_AS = "memory"
_SYSTEMS = (host.SYSTEM,)
_WATCHING_LIMIT_S = 90.0
_OWN_PROGRAMS = ("node", "nodejs")


@check(
    needs=_SYSTEMS,
    limit_s=_WATCHING_LIMIT_S,
    is_cause=True,
    treated_by="run fewer processes, or give the machine more memory",
)
def large(target: Target, watched: Reading[Watch]) -> Finding:
    """Large memory use of the service, without a leak"""
    watch = watched.of(target)
    growths = watch.growths
    used = sum(growth.size for growth in growths)
    message = f"The service's {len(growths)} processes take {mib(used):,.0f} MiB"
    advice = "Run fewer of them, or give the machine more."
    finding = _of_all(target, watch, used, message, advice)
    return finding.model_copy(update={"rows": [growth_row(growth) for growth in growths]})


@check(
    needs=_SYSTEMS,
    limit_s=_WATCHING_LIMIT_S,
    is_cause=True,
    treated_by="ask whose program it is before you end it",
)
def others(target: Target, watched: Reading[Watch]) -> Finding:
    """Another program using the memory"""
    rows = processes.largest(target).rows
    other = next((row for row in rows if row["program"] not in _OWN_PROGRAMS), None)
    if other is None:
        return ruled_out("No other program takes much.", rows)
    size = other["memory_bytes"]
    message = f"Of the other programs {other['program']} takes most, {mib(size):,.0f} MiB"
    advice = "Ask whose it is before you end it."
    finding = _of_all(target, watched.of(target), size, message, advice)
    return finding.model_copy(update={"rows": rows})


@check(needs=(*_SYSTEMS, database.SYSTEM), limit_s=_WATCHING_LIMIT_S, is_cause=True)
def postgres(target: Target, watched: Reading[Watch]) -> Finding:
    """Memory used by PostgreSQL's sessions"""
    use = database.memory_use(target)
    message = (
        f"PostgreSQL may take {mib(use.most):,.0f} MiB ({mib(use.shared):,.0f} shared, and "
        f"{mib(use.each):g} for each sort of {use.sessions} sessions)"
    )
    advice = "That counts if it runs on this machine."
    finding = _of_all(target, watched.of(target), use.most, message, advice)
    return explains(
        finding, finding.share, Remedy.of("database/connections", "shows who holds them")
    )


redis = cache.memory.as_cause(
    "Memory used by Redis",
    0.6,
    treated_by("cache/key_patterns", "shows which keys take it"),
    name="memory.redis",
)


def _of_all(target: Target, watch: Watch, used: float, message: str, advice: str) -> Finding:
    """Judge what takes `used` bytes: a cause when memory is short and its share past the limit."""
    share, limit = used / watch.total, target.limit("memory_share_percent")
    message += f", {100 * share:.1f} % of the machine's memory"
    if not watch.is_short or 100 * share < limit:
        enough = "" if watch.is_short else "; enough memory is free"
        return ruled_out(f"{message}{enough}.")
    return likely(f"{message}. {advice}", min(1.0, share), value=round(100 * share, 1), unit="%")
