"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.api.settings import Api

API = System(
    name="api",
    title="API",
    settings=Api,
    address="url",
    shorthands={"api_url": "url"},
    defaults={"url": "http://localhost:3001"},
    probes="opsnb.systems.api.doctor:PROBES",
)
