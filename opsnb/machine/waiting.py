"""Wait for something that takes a moment."""

from __future__ import annotations

import time
from collections.abc import Iterator


def attempts(limit_s: float, every_s: float) -> Iterator[None]:
    """Yield at once, and again every `every_s` seconds until `limit_s` have passed."""
    ends = time.monotonic() + limit_s
    yield
    while time.monotonic() < ends:
        time.sleep(every_s)
        yield
