"""Faults of the demo stack: each really breaks something, and you can clear it."""

from opsnb.demo.faults.fault import Fault
from opsnb.demo.faults.injecting import (
    FAULTS,
    active,
    all_faults,
    clear,
    hang_again,
    hanging,
    held,
    inject,
)

__all__ = [
    "FAULTS",
    "Fault",
    "active",
    "all_faults",
    "clear",
    "hang_again",
    "hanging",
    "held",
    "inject",
]
