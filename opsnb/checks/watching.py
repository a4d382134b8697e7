"""Numbers that are measured repeatedly: their values over time, and their alerts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from opsnb.checks.check import Check
from opsnb.model import Finding, Row, Status, Threshold, worst
from opsnb.view.formats import number

_MOST_ROWS = 240  # of a chart; of more samples, the worst of each group of neighbours is kept


@dataclass(frozen=True)
class Series:
    """A check whose value is watched, or one value of each of its rows."""

    check: Check[[]]
    by: str = ""
    """The column that names the rows; empty when the finding's own value is watched."""
    value: str = ""
    """The column of the number."""

    def values(self, finding: Finding) -> dict[str, float]:
        """Return the values of a finding by name; none if it could not be measured."""
        if finding.status in (Status.UNKNOWN, Status.SKIPPED):
            return {}
        if self.by:
            known = [row for row in finding.rows if row[self.value] is not None]
            return {str(row[self.by]): float(row[self.value]) for row in known}
        return {} if finding.value is None else {finding.title: finding.value}


@dataclass
class Alert:
    """An alert: one value past its limit, from its begin to its end."""

    name: str
    status: Status
    began: datetime
    worst: float
    ended: datetime | None = None

    def row(self, unit: str) -> Row:
        """Return its row of a table."""
        return {
            "alert": self.name,
            "status": self.status,
            "began": _clock(self.began),
            "ended": _clock(self.ended) if self.ended else "continues",
            "worst": f"{number(self.worst, unit)}",
        }


@dataclass
class Watched:
    """The samples of one series, and its alerts."""

    series: Series
    samples: list[tuple[datetime, dict[str, float]]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    last: Finding | None = None
    """The newest finding with a number."""
    gap: str = ""
    """Why it cannot be measured at present."""
    treated: Finding | None = None
    """The newest finding that names what treats it."""

    def add(self, at: datetime, finding: Finding) -> Iterator[str]:
        """Add a sample; yields a sentence for each alert or gap that began or ended."""
        values = self.series.values(finding)
        self.samples.append((at, values))
        if not values:
            if not self.gap:
                yield f"{_clock(at)} {self.title} cannot be measured: {finding.message}"
            self.gap = finding.message
            return
        if self.gap:
            yield f"{_clock(at)} {self.title} is measured again."
        self.gap, self.last = "", finding
        self.treated = finding if finding.remedies or finding.untreated else self.treated
        if finding.threshold:
            for name, value in values.items():
                yield from self._judge(at, name, value, finding.threshold)

    def _judge(self, at: datetime, name: str, value: float, limit: Threshold) -> Iterator[str]:
        status = limit.judge(value)
        alert = next((one for one in self.alerts if one.name == name and not one.ended), None)
        if alert is None:
            if status is not Status.OK:
                self.alerts.append(Alert(name, status, at, value))
                yield f"{_clock(at)} {status.upper()} begins: {self._value(name, value, limit)}."
        elif status is Status.OK:
            alert.ended = at
            seconds = (at - alert.began).total_seconds()
            yield f"{_clock(at)} OK again after {seconds:.0f} s: {self._value(name, value, limit)}."
        else:
            alert.status = worst([alert.status, status])
            alert.worst = (min if limit.lower_is_worse else max)(alert.worst, value)

    def _value(self, name: str, value: float, limit: Threshold) -> str:
        of = "" if name == self.title else f" of {name}"
        return f"{limit.label}{of} {number(value, limit.unit)}"

    @property
    def title(self) -> str:
        """The title of the check."""
        return self.series.check.title

    @property
    def newest(self) -> str:
        """The last numbers, in words: `Queue length: emails 12, reports 0 jobs`."""
        values = self.samples[-1][1] if self.samples else {}
        if not values:
            return f"{self.title}: not measured"
        names = [] if list(values) == [self.title] else list(values)
        unit = self.last.unit if self.last else ""
        if not names:
            return f"{self.title}: {number(values[self.title], unit)}"
        parts = ", ".join(f"{name} {number(values[name])}" for name in names)
        return f"{self.title}: {parts} {unit}".rstrip()

    def finding(self) -> Finding:
        """Return the result: a warning for alerts that ended, an alert's own status otherwise."""
        check, last = self.series.check, self.last
        if last is None:
            message = f"Not measured, tried {len(self.samples)} times: {self.gap or 'no sample'}"
            return Finding(
                name=check.name, title=check.title, status=Status.UNKNOWN, message=message
            )
        missed = sum(not values for _, values in self.samples)
        seen = [value for _, values in self.samples for value in values.values()]
        status = worst(
            [Status.OK, *(Status.WARN if alert.ended else alert.status for alert in self.alerts)]
        )
        message = (
            f"{self.title}: {self._range(seen, last.unit)} ({self._times()}); "
            + (f"alerts: {len(self.alerts)}" if self.alerts else "no alert")
            + (f"; not measured {missed} times" if missed else "")
        )
        return Finding(
            name=check.name,
            title=check.title,
            status=status,
            message=f"{message}.",
            value=last.value,
            unit=last.unit,
            threshold=last.threshold,
            rows=[alert.row(last.unit) for alert in self.alerts],
            arguments=check.arguments,
            remedies=self.treated.remedies if self.treated else [],
            untreated=self.treated.untreated if self.treated else "",
        )

    def _range(self, values: list[float], unit: str) -> str:
        least, most = number(min(values)), number(max(values), unit)
        return most if min(values) == max(values) else f"{least} to {most}"

    def _times(self) -> str:
        first, last = self.samples[0][0], self.samples[-1][0]
        if len(self.samples) == 1:
            return f"1 sample at {_clock(first)}"
        return f"{len(self.samples)} samples from {_clock(first)} to {_clock(last)}"

    def over_time(self) -> Finding:
        """Return the samples as rows: the moment in `at`, and a column for each name."""
        names = list(dict.fromkeys(name for _, values in self.samples for name in values))
        step = -(-len(self.samples) // _MOST_ROWS)
        rows = [
            self._row(self.samples[at : at + step], names)
            for at in range(0, len(self.samples), step or 1)
        ]
        last = self.last
        return Finding(
            name=self.series.check.name,
            title=self.title,
            status=Status.OK,
            message=self.gap or "Nothing was measured.",
            unit=last.unit if last else "",
            threshold=last.threshold if last else None,
            rows=rows if last else [],
        )

    def _row(self, samples: list[tuple[datetime, dict[str, float]]], names: list[str]) -> Row:
        limit = self.last.threshold if self.last else None
        choose = min if limit and limit.lower_is_worse else max
        return {
            "at": samples[0][0].isoformat(timespec="seconds"),
            **{
                name: choose(
                    (values[name] for _, values in samples if name in values), default=None
                )
                for name in names
            },
        }


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"
