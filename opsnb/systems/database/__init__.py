"""PostgreSQL."""

from opsnb.systems.database.access import SYSTEM, connection, errors, program
from opsnb.systems.database.commands import progress
from opsnb.systems.database.indexes import invalid_indexes, reindex
from opsnb.systems.database.readiness import pg_dump, ping, statements
from opsnb.systems.database.sessions import blocking, connections, end_long_queries, long_queries
from opsnb.systems.database.upkeep import analyze

__all__ = [
    "SYSTEM",
    "analyze",
    "blocking",
    "connection",
    "connections",
    "end_long_queries",
    "errors",
    "invalid_indexes",
    "long_queries",
    "pg_dump",
    "ping",
    "program",
    "progress",
    "reindex",
    "statements",
]
