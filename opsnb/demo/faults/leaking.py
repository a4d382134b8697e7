"""A fault of the API's code: it keeps what it no longer needs."""

from __future__ import annotations

from opsnb.demo import service
from opsnb.demo.faults.fault import Fault, see
from opsnb.demo.parts import Parts

LEAST_GROWTH = 20 * 2**20


def _resident(stack: Parts) -> int:
    """Return what the API has in memory, in bytes."""
    return sum(process.memory_info().rss for process in service.running(stack.home, service.API))


def _see_growth(stack: Parts) -> None:
    before = _resident(stack)
    see(lambda: _resident(stack) > before + LEAST_GROWTH, "the API does not grow")


FAULTS = (
    Fault(
        name="memory-leak",
        description="The API leaks 5 MiB each second until you restart it.",
        symptom="An alert says that the machine has less free memory every minute.",
        runbook="troubleshooting/memory",
        cause="memory.leaking",
        needs=frozenset({service.API}),
        break_it=_see_growth,
    ),
)
