"""How times and lists are said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def clock(ms: float) -> str:
    """Return a moment, in ms since 1970, as `2026-01-31 10:00:05 UTC`."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%F %T} UTC"


def span(seconds: float) -> str:
    """Return a time span in its natural unit: `12 s`, `5 min`, `3.5 h`, `2 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 120 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86400:.3g} days"


def and_list(names: Iterable[str]) -> str:
    """Return `a, b and c`."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last
