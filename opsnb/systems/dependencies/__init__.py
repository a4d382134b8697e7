"""Redis and PostgreSQL, as what the service depends on."""

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
