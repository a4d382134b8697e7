"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.dependencies.starting import (
    Name,
    dependency,
    start,
)

__all__ = [
    "Name",
    "dependency",
    "start",
]
