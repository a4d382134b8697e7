"""How opsnb knows RabbitMQ."""

from opsnb.config.systems import System
from opsnb.model import Threshold
from opsnb_rabbitmq.settings import RabbitMQ

RABBITMQ = System(
    name="rabbitmq",
    title="RabbitMQ",
    settings=RabbitMQ,
    address="url",
    shorthands={"rabbitmq_url": "url", "restart.rabbitmq": "restart"},
    thresholds=(
        Threshold(
            metric="rabbitmq_ready",
            label="Messages ready in a queue",
            unit="messages",
            warn=1000,
            crit=10_000,
            source="opsnb-rabbitmq",
            action="Start or repair its consumers",
        ),
    ),
    probes="opsnb_rabbitmq.doctor:PROBES",
    dependency="opsnb_rabbitmq.starting:dependency",
    faults="opsnb_rabbitmq.faults:FAULTS",
)
