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
        name="worker-down",
        description="pm2 stops the worker process.",
        symptom="Pages load, but the results that users ask for never arrive.",
        runbook="troubleshooting/high_queue_length",
        cause="backlog.no_worker",
        parameters={"queue": "ai-analysis"},
        holds=service.WORKER,
        break_it=lambda stack: stack.service.halt(service.WORKER),
        fix_it=lambda stack: stack.service.start([service.WORKER]),
    ),
    Fault(
        name="api-down",
        description="pm2 stops the API process.",
        symptom="The site does not respond at all.",
        runbook="incidents/service_down",
        cause="outage.not_up",
        holds=service.API,
        break_it=lambda stack: stack.service.halt(service.API),
        fix_it=lambda stack: stack.service.start([service.API]),
    ),
    Fault(
        name="redis-down",
        description="Valkey is stopped; its data stays on disk.",
        symptom="Most requests fail with an error.",
        runbook="incidents/service_down",
        cause="outage.redis",
        holds="valkey",
        needs=frozenset({"valkey"}),
        break_it=lambda stack: stack.valkey.stop(),
        fix_it=lambda stack: stack.valkey.start(),
    ),
    Fault(
        name="redis-hang",
        description="Valkey is frozen with SIGSTOP: it accepts connections and never responds.",
        symptom="Most requests wait, then fail.",
        runbook="incidents/service_down",
        cause="outage.redis",
        holds="valkey",
        hangs=True,
        needs=frozenset({"valkey"}),
        break_it=lambda stack: stack.valkey.freeze(),
        fix_it=lambda stack: _thaw(stack.valkey),
    ),
    Fault(
        name="postgres-down",
        description="PostgreSQL is shut down.",
        symptom="Every page with data fails.",
        runbook="incidents/service_down",
        cause="outage.postgres",
        holds="postgres",
        needs=frozenset({"postgres"}),
        break_it=lambda stack: stack.postgres.stop(),
        fix_it=lambda stack: stack.postgres.start(),
    ),
    Fault(
        name="postgres-hang",
        description="PostgreSQL is frozen with SIGSTOP: it accepts connections and never responds.",
        symptom="Every page with data waits, then fails.",
        runbook="incidents/service_down",
        cause="outage.postgres",
        holds="postgres",
        hangs=True,
        needs=frozenset({"postgres"}),
        break_it=lambda stack: stack.postgres.freeze(),
        fix_it=lambda stack: _thaw(stack.postgres),
    ),
)
