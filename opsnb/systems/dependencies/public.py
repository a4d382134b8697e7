"""Redis and PostgreSQL, as what the service depends on."""

from opsnb.systems.dependencies.asking import Dependency, Place, ask, dependency
from opsnb.systems.dependencies.starting import start

__all__ = [
    "Dependency",
    "Place",
    "ask",
    "dependency",
    "start",
]
