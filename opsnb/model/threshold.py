"""The limits of a metric, and the status of a value."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass

from opsnb.model.status import Status


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Where a metric turns warn and crit.

    `metric` is its key in `opsnb.toml`, `unit` that of the limits, `source` the section of the
    handbook that sets them, else opsnb. A limit that is None never trips.
    """

    metric: str
    label: str
    unit: str
    warn: float | None = None
    crit: float | None = None
    lower_is_worse: bool = False
    inclusive: bool = False
    """True where the handbook says "less than": the limit itself already trips."""
    source: str = "opsnb"
    action: str = ""
    """What the handbook says to do."""
    runbook: str = ""
    """The runbook that treats it."""

    @property
    def limits(self) -> dict[Status, float]:
        """The limits that are set, the milder first."""
        known = ((Status.WARN, self.warn), (Status.CRIT, self.crit))
        return {status: limit for status, limit in known if limit is not None}

    def room(self, value: float, limit: float) -> float:
        """Return how far `value` is from `limit`; negative when it is past it."""
        return value - limit if self.lower_is_worse else limit - value

    def judge(self, value: float) -> Status:
        """Return the status of `value`, in the threshold's unit; `unknown` when it is NaN."""
        if math.isnan(value):
            return Status.UNKNOWN
        if self._trips(value, self.crit):
            return Status.CRIT
        return Status.WARN if self._trips(value, self.warn) else Status.OK

    def _trips(self, value: float, limit: float | None) -> bool:
        if limit is None:
            return False
        if self.lower_is_worse:
            beyond = operator.le if self.inclusive else operator.lt
        else:
            beyond = operator.ge if self.inclusive else operator.gt
        return bool(beyond(value, limit))
