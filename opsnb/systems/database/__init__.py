"""PostgreSQL."""

from opsnb.systems.database.access import SYSTEM, connection, errors, program
from opsnb.systems.database.commands import progress
from opsnb.systems.database.readiness import pg_dump, ping, statements

__all__ = ["SYSTEM", "connection", "errors", "pg_dump", "ping", "program", "progress", "statements"]
