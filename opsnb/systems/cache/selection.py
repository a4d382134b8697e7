"""Which keys to clear."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

import redis

from opsnb.errors import ParameterError, Refused
from opsnb.params import ClearScope
from opsnb.systems.cache.connecting import Connection
from opsnb.systems.cache.info import chosen_database, filled_databases, read_info
from opsnb.systems.cache.queue_keys import FoundQueues, find_queues

_FINDING_S = 60.0  # after a search for queues that takes longer, nothing is cleared


@dataclass(frozen=True)
class Selection:
    """Which keys are to be cleared."""

    databases: tuple[int, ...]
    patterns: tuple[bytes, ...] | None
    """None: all keys of the databases."""
    own_prefix: str
    """The prefix of the target's own queues; empty when their keys are cleared too."""
    own_queues: tuple[str, ...]
    """The target's queues that `opsnb.toml` names."""
    cleared_prefixes: tuple[str, ...]
    """Prefixes of queues that are cleared too."""

    def queues(self, client: redis.Redis) -> FoundQueues:
        """Return the queues in a database whose keys stay.

        Raises Refused when the search for them ended early.
        """
        found = find_queues(client, time.monotonic() + _FINDING_S)
        if not found.complete:
            raise Refused(
                f"Refused, nothing changed: the search for queues ended after {_FINDING_S:g} s, at "
                f"{found.looked_at:,} of {client.dbsize():,} keys, so opsnb cannot distinguish "
                "queues from the cache. Run it again when Redis is less busy, or clear families "
                "one by one with redis-cli --scan."
            )
        found = found.without(self.cleared_prefixes)
        # All keys under the target's own prefix belong to its queues. A pattern that goes deeper
        # may mean others there: then only the keys of the queues that exist stay.
        head = f"{self.own_prefix}:".encode()
        deeper = self.patterns is not None and all(
            _literal_head(pattern).startswith(head) and _literal_head(pattern) != head
            for pattern in self.patterns
        )
        if not self.own_prefix:
            return found
        own = {head + name.encode() + b":" for name in self.own_queues} if deeper else {head}
        return replace(found, names=found.names | own)


def _literal_head(pattern: bytes) -> bytes:
    """Return what a glob begins with, up to its first special character."""
    return re.split(rb"[*?\[\\]", pattern, maxsplit=1)[0]


def databases(client: Connection, scope: ClearScope, db: str) -> tuple[int, ...]:
    """Return the numbers of the databases to clear. Raises ParameterError."""
    if scope == "all":
        if db:
            raise ParameterError(
                f"scope=all takes every database, and db={db} one; leave db empty or set "
                "scope=database."
            )
        return tuple(filled_databases(read_info(client)))
    return (chosen_database(client, db),)
