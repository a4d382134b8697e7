"""What changed since the last run of the same runbook on the same target that ended ok."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Row

from opsnb.model import Finding, RunResult, Status
from opsnb.site.runs import Run
from opsnb.site.templates import setting
from opsnb.view.formats import number

MOST = 20


@dataclass(frozen=True)
class Change:
    """A finding that is not as it was."""

    label: str
    before: Status | None
    """None when it was not measured then."""
    value_before: str
    now: Status | None
    """None when it was not measured this time."""
    value: str
    difference: str

    @property
    def severity(self) -> int:
        """How urgent it is, for sorting."""
        return self.now.severity if self.now else -1


def findings(result: RunResult, former: Sequence[Row]) -> list[Change]:
    """Return the findings that have another status, are new or are gone, the worst first.

    `former` are those of the earlier run.
    """
    return sorted(_changed(result, former), key=lambda change: -change.severity)


def terms(result: RunResult, former: Run) -> Iterator[tuple[str, str, str]]:
    """Yield what else differs: its name, how it was, and how it is."""
    if result.runbook_sha256 != former.source_sha256:
        yield "runbook", former.source_sha256[:12], result.runbook_sha256[:12]
    for name in dict.fromkeys([*former.parameters, *result.parameters]):
        before, now = former.parameters.get(name), result.parameters.get(name)
        if before != now:
            yield name, setting(before), setting(now)


def _changed(result: RunResult, former: Sequence[Row]) -> Iterator[Change]:
    before = {row["key"]: row for row in former}
    counted = {one.key: one for one in result.counted if one.status is not Status.SKIPPED}
    for key, finding in counted.items():
        row = before.get(key)
        if row is None or row["status"] != finding.status:
            yield _change(finding, row)
    for row in (row for key, row in before.items() if key not in counted):
        value = _value(row["value"], row["unit"])
        yield Change(row["label"] or row["name"], Status(row["status"]), value, None, "", "")


def _change(finding: Finding, row: Row | None) -> Change:
    label, value = finding.title or finding.name, _value(finding.value, finding.unit)
    if row is None:
        return Change(label, None, "", finding.status, value, "")
    difference = ""
    if finding.value is not None and row["value"] is not None and finding.unit == row["unit"]:
        by = finding.value - row["value"]
        difference = f"{'+' if by > 0 else '-'}{number(abs(by), finding.unit)}" if by else ""
    before = _value(row["value"], row["unit"])
    return Change(label, Status(row["status"]), before, finding.status, value, difference)


def _value(value: float | None, unit: str) -> str:
    return "" if value is None else number(value, unit)
