"""What a check read, and whether that was all of it.

Code that reads a system reports at once what it could not see: `partial` when that may hold the
answer, `without` when only an extra is missing. Callers do not pass this on: a check, a plan or a
verification collects the reports while it runs, and an `ok` that rests on a part becomes `unknown`.
A reading that several checks share repeats its gaps to each of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opsnb.model import Coverage, Evidence, Finding, Status

_MOST_REASONS = 3
_changes: list[float] = []


@dataclass(frozen=True)
class Gap:
    """Something that could not be seen."""

    reason: str
    """What, why, and the fix; one sentence without its full stop."""
    is_extra: bool = False
    """Whether the verdict does not depend on it."""


def target_changed() -> None:
    """Report that an action has worked on a target: what was read before is out of date."""
    _changes.append(time.time())


def last_change() -> float | None:
    """Return when an action of this process last worked on a target, in seconds since 1970."""
    return _changes[-1] if _changes else None


_collecting: ContextVar[list[Gap] | None] = ContextVar("collecting", default=None)


def partial(reason: str) -> None:
    """Report that a part could not be read, so that an empty result proves nothing."""
    repeat([Gap(reason)])


def without(reason: str) -> None:
    """Report that an extra is missing; the verdict does not depend on it."""
    repeat([Gap(reason, is_extra=True)])


def repeat(gaps: list[Gap]) -> None:
    """Report again the gaps of an earlier reading."""
    collecting = _collecting.get()
    if collecting is not None:
        collecting.extend(gap for gap in gaps if gap not in collecting)


@contextmanager
def collected() -> Iterator[list[Gap]]:
    """Yield the list of gaps that are reported within.

    Threads started within see the same list when they run in a copy of the context.
    """
    gaps: list[Gap] = []
    token = _collecting.set(gaps)
    try:
        yield gaps
    finally:
        _collecting.reset(token)


def judged(finding: Finding, gaps: list[Gap]) -> Finding:
    """Return `finding` with its evidence; `ok` becomes `unknown` when gaps may hide the contrary.

    A finding that is `settled` by what was seen keeps its status, and so does any but `ok`.
    """
    if finding.settled:
        gaps = [gap for gap in gaps if gap.is_extra]
    known = (*finding.evidence.gaps, *finding.evidence.extras)
    new = [gap for gap in gaps if gap.reason not in known]
    if not new:
        return finding
    missing = [gap.reason for gap in new if not gap.is_extra]
    extras = [gap.reason for gap in new if gap.is_extra]
    evidence = Evidence(
        coverage=Coverage.PARTIAL if missing else finding.evidence.coverage,
        gaps=[*finding.evidence.gaps, *missing],
        extras=[*finding.evidence.extras, *extras],
    )
    unproven = missing and finding.status is Status.OK
    return finding.model_copy(
        update={
            "status": Status.UNKNOWN if unproven else finding.status,
            "message": f"{finding.message} {sentence(new)}".strip(),
            "evidence": evidence,
        }
    )


def sentence(gaps: list[Gap]) -> str:
    """Return what could not be seen, for a person; empty without gaps."""
    reasons = list(dict.fromkeys(gap.reason.rstrip(".") for gap in gaps))
    if not reasons:
        return ""
    more = len(reasons) - _MOST_REASONS
    rest = f"; and {more} more" if more > 0 else ""
    words = f"Not seen: {'; '.join(reasons[:_MOST_REASONS])}{rest}"
    return words if words.endswith(";") else f"{words}."  # as at the end of an SQL statement
