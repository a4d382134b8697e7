"""The findings of causes: likely, ruled out, or not checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsnb.model import Finding, Remedy, Row, Status


def explains(finding: Finding, share: float | None, *remedies: Remedy) -> Finding:
    """Return the finding of a check as a cause: how much it explains, and what treats it.

    A finding that is no alarm is returned unchanged.
    """
    if not finding.is_alarm:
        return finding
    treatment = {"remedies": list(remedies)} if remedies else {}
    return finding.model_copy(update={"share": share, **treatment})


def likely(
    message: str, share: float, *remedies: Remedy, status: Status = Status.WARN, **more: Any
) -> Finding:
    """Return the finding of a cause that explains `share` of the symptom.

    `more` are other fields of it, such as `rows`.
    """
    return Finding(status=status, message=message, share=share, remedies=list(remedies), **more)


def ruled_out(message: str, rows: Sequence[Row] = (), *, settled: bool = False) -> Finding:
    """Return the finding of a cause that was ruled out; `message` holds the measurement."""
    return Finding(status=Status.OK, message=message, rows=list(rows), settled=settled)


def not_checked(message: str) -> Finding:
    """Return the finding of what does not apply or left no trace; `message` says why."""
    return Finding(status=Status.SKIPPED, message=message)
