"""Queues as a message names them."""

from __future__ import annotations

from collections.abc import Sequence

from opsnb.view.formats import and_list

MOST_NAMED = 3


def any_of(queues: int) -> str:
    """Return the queues as the end of `No job waits in ...`."""
    return "the queue" if queues == 1 else f"any of {queues} queues"


def named(names: Sequence[str]) -> str:
    """Return the names, or the first of them and how many more."""
    if len(names) <= MOST_NAMED:
        return and_list(names)
    return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"
