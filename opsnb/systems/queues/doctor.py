"""What `opsnb doctor` checks of this system."""

from opsnb.checks.probe import Probe
from opsnb.systems.queues import depth
from opsnb.systems.queues.settings import Queues

PROBES = (
    Probe(
        depth.given(),
        tried=lambda target: f"BullMQ under the prefix '{Queues.of(target).prefix}'",
        down="Start the queues' Redis, or correct queues.url.",
        found="Work off what waits; if queues are missing, correct queues.names or queues.prefix.",
        key="queues.url",
    ),
)
