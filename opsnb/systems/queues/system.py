"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.queues.settings import Queues, cause

QUEUES = System(
    name="queues",
    title="Redis of the queues",
    settings=Queues,
    address="url",
    shorthands={"queue_prefix": "prefix", "dashboard_url": "dashboard"},
    plain="names",
    inherits={"url": ("cache", "url")},
    defaults={"dashboard": "http://localhost:3001/admin/queues"},
    cause=cause,
    probes="opsnb.systems.queues.doctor:PROBES",
)
