"""The performance review: this period compared with the one before. Handbook, section 9.2."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opsnb.checks.check import check
from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ExitCode
from opsnb.handbook.deployment.verify import verdict
from opsnb.handbook.maintenance.monthly.past import FIX, Past, drawable
from opsnb.model import Finding, Row, Status, Threshold
from opsnb.records.readings import Found, Ran
from opsnb.view import charts
from opsnb.view.formats import number

_LIMIT_S = 90.0  # for months of records in a store behind a network
_OURS = ("capacity", "review")  # a review does not review itself
_STATUSES = (Status.OK, Status.WARN, Status.CRIT, Status.UNKNOWN)
_MOST_CHARTS = 6
_LEAST = 3  # measurements: with fewer, the median is chance
_TOO_FEW = "too few records"


@dataclass(frozen=True)
class Metric:
    """The values of a check with a limit in both periods."""

    title: str
    threshold: Threshold
    since: list[Found]
    before: list[Found]

    @property
    def values(self) -> list[float]:
        """What was measured in this period."""
        return _values(self.since)

    @property
    def compared(self) -> str:
        """How its median compares with that of the period before."""
        then, now = _values(self.before), self.values
        if not then or not now:
            return "new" if now else "not measured any more"
        if min(len(then), len(now)) < _LEAST:
            return _TOO_FEW
        return verdict(
            statistics.median(then),
            statistics.median(now),
            self.threshold.unit,
            lower_is_worse=self.threshold.lower_is_worse,
        )

    @property
    def tripped(self) -> int:
        """How often it was warn or crit in this period."""
        return sum(finding.status in (Status.WARN, Status.CRIT) for finding in self.since)

    @property
    def stands_out(self) -> bool:
        """Whether it got worse and passed its limit, or is past it in most of the runs."""
        worse = self.compared == "worse" and self.tripped > 0
        return worse or 2 * self.tripped > len(self.since)

    def row(self) -> Row:
        """Return its row of a table."""
        values, before, unit = self.values, _values(self.before), self.threshold.unit
        worst = min if self.threshold.lower_is_worse else max
        counts = Counter(finding.status.value for finding in self.since)
        return {
            "metric": self.title,
            "compared": self.compared,
            "median": number(statistics.median(values), unit) if values else None,
            "before": number(statistics.median(before), unit) if before else None,
            "worst": number(worst(values), unit) if values else None,
            "how_often": ", ".join(f"{count} {status}" for status, count in counts.items()),
        }

    def chart(self) -> charts.Chart:
        """Return a chart of its values over time, a line for each period."""
        # The older ones first; a line is broken where a column has no value.
        rows = [_point(finding, before=finding.value) for finding in _measured(self.before)]
        rows += [_point(finding, since=finding.value) for finding in _measured(self.since)]
        return charts.lines(drawable(self.title, self.threshold, rows), over="at")


@check(limit_s=_LIMIT_S, treated_by="compare the records of these days")
def metrics(target: Target, read: Reading[Past]) -> Finding:
    """Performance, compared with the period before

    By the records of all runbooks: what has a limit, those that stand out first.
    """
    past = read.of(target)
    reviewed = _metrics(past)
    if not any(metric.values for metric in reviewed):
        raise BadAnswer("records", f"There are no records of the last {past.days} days: {FIX}")
    rows = [metric.row() for metric in reviewed]
    counts = Counter(metric.compared for metric in reviewed)
    words = ", ".join(f"{count} {word}" for word, count in counts.items())
    out = [metric for metric in reviewed if metric.stands_out]
    message = f"Of {len(reviewed)} metrics over {past.days} days: {words}."
    if not past.before:
        message += " There are no records of the period before, so nothing is compared."
    if out:
        names = ", ".join(f"{metric.title} ({_compared_words(metric)})" for metric in out)
        message += f" What stands out: {names}."
    status = Status.WARN if out else Status.OK
    return Finding(status=status, message=message, rows=rows)


@check(limit_s=_LIMIT_S)
def runs(target: Target, read: Reading[Past]) -> Finding:
    """Runs, by runbook and outcome"""
    past = read.of(target)
    before = Counter(run.runbook for run in past.before)
    since: dict[str, list[Ran]] = {}
    for run in past.since:
        since.setdefault(run.runbook, []).append(run)
    rows = [_runs_row(runbook, since[runbook], before[runbook]) for runbook in sorted(since)]
    if not rows:
        raise BadAnswer("records", f"There are no records of the last {past.days} days: {FIX}")
    broke = sum(row["broke"] for row in rows)
    message = (
        f"Runs in {past.days} days: {len(past.since):,}; in the {past.days} days before: "
        f"{len(past.before):,}."
    )
    if broke:
        message += f" Refused or broken: {broke:,}; opsnb records list shows which."
    return Finding(status=Status.OK, message=message, value=len(past.since), unit="runs", rows=rows)


def drawn(target: Target, read: Reading[Past]) -> list[charts.Chart]:
    """Return charts of the metrics over time, those that stand out first."""
    return [metric.chart() for metric in _metrics(read.of(target))[:_MOST_CHARTS]]


def _metrics(past: Past) -> list[Metric]:
    """Return what has a limit and was measured, those that stand out first."""
    since = _by_name(found for found in past.findings if found.at >= past.middle)
    before = _by_name(found for found in past.findings if found.at < past.middle)
    metrics = []
    for name in dict.fromkeys([*since, *before]):
        both = [*before.get(name, []), *since.get(name, [])]
        newest = _measured(both)[-1:]
        limits = newest[0].threshold if newest else None
        if limits and limits.limits and name.split(".")[0] not in _OURS:
            title = newest[0].label
            metrics.append(Metric(title, limits, since.get(name, []), before.get(name, [])))
    return sorted(metrics, key=lambda metric: (not metric.stands_out, metric.compared != "worse"))


def _by_name(past: Iterable[Found]) -> dict[str, list[Found]]:
    by_name: dict[str, list[Found]] = {}
    for found in past:
        by_name.setdefault(found.name, []).append(found)
    return by_name


def _measured(past: Sequence[Found]) -> list[Found]:
    return [found for found in past if found.value is not None]


def _values(past: Sequence[Found]) -> list[float]:
    return [found.value for found in past if found.value is not None]


def _point(found: Found, *, before: float | None = None, since: float | None = None) -> Row:
    return {
        "at": found.at.isoformat(timespec="seconds"),
        "the period before": before,
        "this period": since,
    }


def _compared_words(metric: Metric) -> str:
    row = metric.row()
    was = f", was {row['before']}" if row["before"] else ""
    times = f"{metric.tripped} of {len(metric.since)} times"
    return f"median {row['median'] or 'unknown'}{was}; past its limit {times}"


def _runs_row(runbook: str, runs: Sequence[Ran], before: int) -> Row:
    ended = [run for run in runs if run.exit_code < ExitCode.UNUSABLE]
    counts = Counter(run.status for run in ended)
    return {
        "runbook": runbook,
        "runs": len(runs),
        **{status.value: counts[status] for status in _STATUSES},
        "broke": len(runs) - len(ended),
        "runs_before": before,
    }
