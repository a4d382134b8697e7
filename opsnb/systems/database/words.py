"""Numbers in sentences."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 table` or `12,000 tables`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
