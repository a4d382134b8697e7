"""The memory that PostgreSQL may use by its settings."""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.config.target import Target
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection


@dataclass(frozen=True)
class MemoryUse:
    """Sizes in bytes; each session may use `each` for every sort or hash of its statement."""

    shared: int
    each: int
    sessions: int

    @property
    def most(self) -> int:
        """The use if every session sorts once, at the same time."""
        return self.shared + self.sessions * self.each


def memory_use(target: Target) -> MemoryUse:
    """Return the shared memory, and what the current sessions may use. Raises ServiceError."""
    with connection(target) as database:
        return MemoryUse(**queries.row(database, "memory"))
