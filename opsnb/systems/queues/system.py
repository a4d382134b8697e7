"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.queues.settings import Queues

QUEUES = System(
    name="queues",
    title="Queues",
    settings=Queues,
    shorthands={"queue_prefix": "prefix", "dashboard_url": "dashboard"},
    plain="names",
    inherits={"url": ("cache", "url")},
)
