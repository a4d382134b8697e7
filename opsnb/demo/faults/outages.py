"""Faults that bring a part down: it ends, or it hangs."""

from __future__ import annotations

from opsnb.demo import service
from opsnb.demo.faults.fault import Fault
from opsnb.demo.postgres import Postgres
from opsnb.demo.valkey import Valkey


def _thaw(server: Postgres | Valkey) -> None:
    server.thaw()
    if not server.answers():
        server.start()


FAULTS = (
    Fault(
        "worker-down",
        "pm2 stops the worker process.",
        "processes.up",
        service.WORKER,
        frozenset(),
        lambda stack: stack.service.halt(service.WORKER),
        lambda stack: stack.service.start([service.WORKER]),
    ),
    Fault(
        "api-down",
        "pm2 stops the API process.",
        "api.health",
        service.API,
        frozenset(),
        lambda stack: stack.service.halt(service.API),
        lambda stack: stack.service.start([service.API]),
    ),
    Fault(
        "redis-down",
        "Valkey is stopped; its data stays on disk.",
        "cache.ping",
        "valkey",
        frozenset({"valkey"}),
        lambda stack: stack.valkey.stop(),
        lambda stack: stack.valkey.start(),
    ),
    Fault(
        "redis-hang",
        "Valkey is frozen with SIGSTOP: it accepts connections and never responds.",
        "cache.ping",
        "valkey",
        frozenset({"valkey"}),
        lambda stack: stack.valkey.freeze(),
        lambda stack: _thaw(stack.valkey),
        hangs=True,
    ),
    Fault(
        "postgres-down",
        "PostgreSQL is shut down.",
        "database.ping",
        "postgres",
        frozenset({"postgres"}),
        lambda stack: stack.postgres.stop(),
        lambda stack: stack.postgres.start(),
    ),
    Fault(
        "postgres-hang",
        "PostgreSQL is frozen with SIGSTOP: it accepts connections and never responds.",
        "database.ping",
        "postgres",
        frozenset({"postgres"}),
        lambda stack: stack.postgres.freeze(),
        lambda stack: _thaw(stack.postgres),
        hangs=True,
    ),
)
