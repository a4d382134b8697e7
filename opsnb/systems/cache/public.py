"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.cache.checks import clients, eviction, fragmentation, memory, persistence, ping
from opsnb.systems.cache.clearing import clear
from opsnb.systems.cache.connecting import asynchronous, connection, writing
from opsnb.systems.cache.key_families import families, family_rows
from opsnb.systems.cache.keyspace import family
from opsnb.systems.cache.lookups import Losses, hit_rate, losses
from opsnb.systems.cache.refusals import reaching, refusal
from opsnb.systems.cache.server import SYSTEM, Server, server_of
from opsnb.systems.cache.stored_keys import key, keys
from opsnb.systems.cache.tallies import count
from opsnb.systems.cache.traffic import evictions, latency, throughput
from opsnb.systems.cache.warming import is_warmed_directly, warm_up
from opsnb.systems.cache.workload import commands, slow_log

__all__ = [
    "SYSTEM",
    "Losses",
    "Server",
    "asynchronous",
    "clear",
    "clients",
    "commands",
    "connection",
    "count",
    "eviction",
    "evictions",
    "families",
    "family",
    "family_rows",
    "fragmentation",
    "hit_rate",
    "is_warmed_directly",
    "key",
    "keys",
    "latency",
    "losses",
    "memory",
    "persistence",
    "ping",
    "reaching",
    "refusal",
    "server_of",
    "slow_log",
    "throughput",
    "warm_up",
    "writing",
]
