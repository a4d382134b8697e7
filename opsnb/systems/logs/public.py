"""What notebooks call of the logs."""

from opsnb.systems.logs.access import error_rate, requests
from opsnb.systems.logs.clearing import clear
from opsnb.systems.logs.error_lines import SYSTEM, Window, errors, groups, iso, read, sentence

__all__ = [
    "SYSTEM",
    "Window",
    "clear",
    "error_rate",
    "errors",
    "groups",
    "iso",
    "read",
    "requests",
    "sentence",
]
