"""What `opsnb doctor` checks of RabbitMQ."""

from opsnb.checks.probe import Probe
from opsnb_rabbitmq import checks
from opsnb_rabbitmq.settings import RabbitMQ

_DOWN = "Start RabbitMQ, or correct rabbitmq_url."

PROBES = (
    Probe(
        checks.ping,
        tried=lambda target: f"GET {RabbitMQ.of(target).url}/api/overview",
        down=_DOWN,
        key="rabbitmq_url",
        applies=lambda target: bool(RabbitMQ.of(target).url),
    ),
    Probe(
        checks.alarms,
        tried=lambda _: "GET /api/nodes, mem_alarm and disk_free_alarm",
        down=_DOWN,
        found="Free memory or disk on that node.",
        applies=lambda target: bool(RabbitMQ.of(target).url),
    ),
)
