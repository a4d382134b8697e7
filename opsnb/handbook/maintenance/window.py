"""The maintenance window of a target. Handbook, section 9.1."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from opsnb.config.settings import Maintenance
from opsnb.config.target import Target
from opsnb.errors import Refused
from opsnb.model import Row, now

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AHEAD = 8  # days, which hold each day of the week


def require(
    target: Target, *, apply: bool, outside: bool = False, at: datetime | None = None
) -> None:
    """Raise Refused for a change while the target's window is closed, unless `outside` allows it.

    Plans can be read at any time. A target without a window can be changed at any time. `at` is
    now by default.
    """
    window, at = target.maintenance, at or now()
    if not apply or outside or window is None or is_open(window, at):
        return
    begins, ends = next(_windows(window, at))
    raise Refused(
        f"The maintenance window of {target.name} is closed: it is open next from "
        f"{begins:%a %Y-%m-%d %H:%M} to {ends:%H:%M} {window.timezone}. If it cannot wait: "
        "-p outside_window=true"
    )


def is_open(window: Maintenance, at: datetime) -> bool:
    """Whether a window is open at a moment; at its end it is closed."""
    begins, _ = next(_windows(window, at))
    return begins <= at


def windows(target: Target) -> list[Row]:
    """The maintenance window"""
    if target.maintenance is None:
        return [{"window": "none: maintenance is allowed at any time", "state": "open"}]
    at = now()
    begins, ends = next(_windows(target.maintenance, at))
    span = f"{begins:%a %Y-%m-%d %H:%M} to {ends:%H:%M} {target.maintenance.timezone}"
    return [{"window": span, "state": "open" if begins <= at else "closed"}]


def _windows(window: Maintenance, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the windows that have not ended, the current or next one first."""
    zone = ZoneInfo(window.timezone)
    today = at.astimezone(zone).date()
    over = timedelta(days=1 if window.ends <= window.begins else 0)
    for ahead in range(-1, _AHEAD):
        day = today + timedelta(days=ahead)
        if _DAYS[day.weekday()] not in window.days:
            continue
        begins = datetime.combine(day, window.begins, zone)
        ends = datetime.combine(day + over, window.ends, zone)
        if at < ends:
            yield begins, ends
