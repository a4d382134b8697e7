"""The outcome of a check, or of a run."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from opsnb.errors import ExitCode


class Status(StrEnum):
    """The outcome of a check, or of a run. `ok` < `warn` < `crit`."""

    OK = "ok"
    WARN = "warn"
    CRIT = "crit"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"

    @property
    def severity(self) -> int:
        """Rank for sorting, the worst highest. What could not be measured may be critical."""
        return _BY_SEVERITY.index(self)

    @property
    def exit_code(self) -> int:
        """The monitoring-plugins convention: 0 ok, 1 warn, 2 crit, 3 unknown."""
        return ExitCode.__members__.get(self.name, ExitCode.UNKNOWN)


_BY_SEVERITY = (Status.SKIPPED, Status.OK, Status.WARN, Status.UNKNOWN, Status.CRIT)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of `statuses`; `unknown` when nothing was measured at all."""
    measured = [status for status in statuses if status is not Status.SKIPPED]
    return max(measured, key=lambda status: status.severity, default=Status.UNKNOWN)
