"""The formats of numbers, sizes, time spans, times and lists, everywhere in opsnb.

`number` and `counted` for amounts, `size` for bytes, `span` for a duration in a sentence,
`duration` for one to the second, `ago` for an age, `utc` for a time, `and_list` for names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

_SINGULAR = {"indexes": "index", "processes": "process", "queries": "query"}
_MIN_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
MIB, GIB = 2**20, 2**30


def number(value: float, unit: str = "") -> str:
    """Return `value` with its unit: `0.42 ms`, `71 %`, `12,400 jobs`; `?` when it is not finite."""
    if not math.isfinite(value):
        text = "?"
    elif value == int(value) or abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"
    return f"{text} {_singular(unit) if text == '1' else unit}".strip()


def _singular(unit: str) -> str:
    """Return `job` of `jobs`; symbols such as `ms` stay as they are."""
    is_word = unit.isalpha() and len(unit) > len("ms") and unit.endswith("s")
    return _SINGULAR.get(unit, unit.removesuffix("s")) if is_word else unit


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 table` or `12,000 tables`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(count: float) -> str:
    """Return a number of bytes in its natural unit: `512 Bytes`, `1.5 KiB`, `3.0 GiB`."""
    # Imported late: most commands write no size.
    from humanize.filesize import naturalsize  # noqa: PLC0415

    return naturalsize(count, binary=True)


def span(length: float | timedelta) -> str:
    """Return a duration in its natural unit: `320 ms`, `12 s`, `5 min`, `3.5 h`, `2 days`.

    `length` is in seconds, or a timedelta.
    """
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 2 * _MIN_S:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MIN_S:.0f} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / _HOUR_S:.3g} h"
    return f"{seconds / _DAY_S:.3g} days"


def duration(seconds: float) -> str:
    """Return a duration to the second: `0.8 s`, `2 min 5 s`, `1 h 4 min`, `3 days`."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MIN_S)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def ago(seconds: float) -> str:
    """Return an age: `just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    if seconds < _MIN_S:
        return "just now"
    for length, unit in ((_DAY_S, "days"), (_HOUR_S, "h")):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds // _MIN_S:.0f} min ago"


def utc(at: datetime | float) -> str:
    """Return a time, or seconds since 1970, as `2026-01-31 10:00:05 UTC`."""
    moment = at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{moment:%F %T} UTC"


def and_list(names: Iterable[str]) -> str:
    """Return `a, b and c`."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last
