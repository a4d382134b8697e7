"""What is looked at again and again: its course, and each alert from its beginning to its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from opsnb.checks.check import Check
from opsnb.model import Finding, Row, Status, Threshold, worst
from opsnb.view.formats import number

_MOST_ROWS = 240  # of a course; of more neighbouring looks the worst one is kept


@dataclass(frozen=True)
class Series:
    """A check of which one number is followed, or one for each of its rows."""

    check: Check[[]]
    by: str = ""
    """The column that names the rows; empty when the finding's own value is followed."""
    value: str = ""
    """The column of the number."""

    def values(self, finding: Finding) -> dict[str, float]:
        """Return the numbers that a finding has, by name; none when it could not be measured."""
        if finding.status in (Status.UNKNOWN, Status.SKIPPED):
            return {}
        if self.by:
            known = [row for row in finding.rows if row[self.value] is not None]
            return {str(row[self.by]): float(row[self.value]) for row in known}
        return {} if finding.value is None else {finding.title: finding.value}


@dataclass
class Episode:
    """An alert."""

    what: str
    status: Status
    began: datetime
    worst: float
    ended: datetime | None = None

    def row(self, unit: str) -> Row:
        """Return what is shown of it."""
        return {
            "alert": self.what,
            "status": self.status,
            "began": _clock(self.began),
            "ended": _clock(self.ended) if self.ended else "goes on",
            "worst": f"{number(self.worst, unit)}",
        }


@dataclass
class Watched:
    """What was seen of one series so far."""

    series: Series
    looks: list[tuple[datetime, dict[str, float]]] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    last: Finding | None = None
    """The newest finding with a number."""
    gap: str = ""
    """Why it cannot be measured at present."""
    treated: Finding | None = None
    """The newest finding that names what treats it."""

    def add(self, at: datetime, finding: Finding) -> Iterator[str]:
        """Take in what was found at a moment; yields a sentence for all that began or ended."""
        values = self.series.values(finding)
        self.looks.append((at, values))
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
        open_ = next((each for each in self.episodes if each.what == name and not each.ended), None)
        if open_ is None:
            if status is not Status.OK:
                self.episodes.append(Episode(name, status, at, value))
                yield f"{_clock(at)} {status.upper()} begins: {self._value(name, value, limit)}."
        elif status is Status.OK:
            open_.ended = at
            seconds = (at - open_.began).total_seconds()
            yield f"{_clock(at)} OK again after {seconds:.0f} s: {self._value(name, value, limit)}."
        else:
            open_.status = worst([open_.status, status])
            open_.worst = (min if limit.lower_is_worse else max)(open_.worst, value)

    def _value(self, name: str, value: float, limit: Threshold) -> str:
        of = "" if name == self.title else f" of {name}"
        return f"{limit.label}{of} {number(value, limit.unit)}"

    @property
    def title(self) -> str:
        """What is watched, in words."""
        return self.series.check.title

    @property
    def newest(self) -> str:
        """The last numbers, in words: `Queue length: emails 12, reports 0 jobs`."""
        values = self.looks[-1][1] if self.looks else {}
        if not values:
            return f"{self.title}: not measured"
        names = [] if list(values) == [self.title] else list(values)
        unit = self.last.unit if self.last else ""
        if not names:
            return f"{self.title}: {number(values[self.title], unit)}"
        told = ", ".join(f"{name} {number(values[name])}" for name in names)
        return f"{self.title}: {told} {unit}".rstrip()

    def finding(self) -> Finding:
        """Return what came of it: a warning for what is over, the alert's own status otherwise."""
        check, last = self.series.check, self.last
        if last is None:
            message = f"Not measured, tried {len(self.looks)} times: {self.gap or 'none was made'}"
            return Finding(
                name=check.name, title=check.title, status=Status.UNKNOWN, message=message
            )
        missed = sum(not values for _, values in self.looks)
        seen = [value for _, values in self.looks for value in values.values()]
        status = worst(
            [Status.OK, *(Status.WARN if each.ended else each.status for each in self.episodes)]
        )
        message = (
            f"{self.title}: {self._range(seen, last.unit)} ({self._times()}); "
            + (f"alerts: {len(self.episodes)}" if self.episodes else "no alert")
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
            rows=[each.row(last.unit) for each in self.episodes],
            arguments=check.arguments,
            remedies=self.treated.remedies if self.treated else [],
            untreated=self.treated.untreated if self.treated else "",
        )

    def _range(self, values: list[float], unit: str) -> str:
        least, most = number(min(values)), number(max(values), unit)
        return most if min(values) == max(values) else f"{least} to {most}"

    def _times(self) -> str:
        first, last = self.looks[0][0], self.looks[-1][0]
        if len(self.looks) == 1:
            return f"1 sample at {_clock(first)}"
        return f"{len(self.looks)} samples from {_clock(first)} to {_clock(last)}"

    def course(self) -> Finding:
        """Return the looks as rows: the moment in `at`, and a column for each name."""
        names = list(dict.fromkeys(name for _, values in self.looks for name in values))
        step = -(-len(self.looks) // _MOST_ROWS)
        rows = [
            self._row(self.looks[at : at + step], names)
            for at in range(0, len(self.looks), step or 1)
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

    def _row(self, looks: list[tuple[datetime, dict[str, float]]], names: list[str]) -> Row:
        limit = self.last.threshold if self.last else None
        choose = min if limit and limit.lower_is_worse else max
        return {
            "at": looks[0][0].isoformat(timespec="seconds"),
            **{
                name: choose((values[name] for _, values in looks if name in values), default=None)
                for name in names
            },
        }


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"
