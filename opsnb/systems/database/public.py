"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.database.analyzing import analyze
from opsnb.systems.database.commands import progress
from opsnb.systems.database.connecting import connection, writing
from opsnb.systems.database.creating import create_index
from opsnb.systems.database.ending import end_sessions
from opsnb.systems.database.explaining import Advice, Statement, busiest, missing_for
from opsnb.systems.database.failures import SYSTEM
from opsnb.systems.database.index_validity import invalid_indexes
from opsnb.systems.database.long_running import end_long_queries, long_queries
from opsnb.systems.database.memory import memory_use
from opsnb.systems.database.performance import (
    bloat,
    cache_hits,
    missing_indexes,
    slow_statements,
    table_sizes,
    unused_indexes,
    vacuum_state,
)
from opsnb.systems.database.plans import plan
from opsnb.systems.database.programs import Program
from opsnb.systems.database.readiness import pg_dump, ping, statements
from opsnb.systems.database.recovery.dumping import backup, backups
from opsnb.systems.database.recovery.proving import prove
from opsnb.systems.database.recovery.restoring import restore
from opsnb.systems.database.reindexing import reindex
from opsnb.systems.database.room import size
from opsnb.systems.database.sessions import blocking, connections

__all__ = [
    "SYSTEM",
    "Advice",
    "Program",
    "Statement",
    "analyze",
    "backup",
    "backups",
    "bloat",
    "blocking",
    "busiest",
    "cache_hits",
    "connection",
    "connections",
    "create_index",
    "end_long_queries",
    "end_sessions",
    "invalid_indexes",
    "long_queries",
    "memory_use",
    "missing_for",
    "missing_indexes",
    "pg_dump",
    "ping",
    "plan",
    "progress",
    "prove",
    "reindex",
    "restore",
    "size",
    "slow_statements",
    "statements",
    "table_sizes",
    "unused_indexes",
    "vacuum_state",
    "writing",
]
