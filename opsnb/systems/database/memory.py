"""The memory that PostgreSQL was told it may take."""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.config.target import Target
from opsnb.systems.database.access import connection
from opsnb.systems.database.sight import CLIENTS


@dataclass(frozen=True)
class MemoryUse:
    """Sizes in bytes; `each` session may take it for each sort or hash of its statement."""

    shared: int
    each: int
    sessions: int

    @property
    def most(self) -> int:
        """What they take when every session sorts once, at the same time."""
        return self.shared + self.sessions * self.each


def memory_use(target: Target) -> MemoryUse:
    """Return what is shared, and what the present sessions may take. Raises ServiceError."""
    with connection(target) as database:
        row = database.execute(
            "SELECT pg_size_bytes(current_setting('shared_buffers')) AS shared,"
            " pg_size_bytes(current_setting('work_mem')) AS each,"
            f" (SELECT count(*) FROM pg_stat_activity WHERE {CLIENTS})"
            " AS sessions"
        ).fetchone()
    assert row is not None  # a select without a table
    return MemoryUse(**row)
