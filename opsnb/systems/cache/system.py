"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.cache.settings import Cache

CACHE = System(
    name="cache",
    server="redis",
    title="Redis",
    settings=Cache,
    address="url",
    shorthands={"redis_url": "url", "restart.redis": "restart"},
    defaults={"url": "redis://localhost:6379"},
    variables={"url": "REDIS_URL"},
    probes="opsnb.systems.cache.doctor:PROBES",
    dependency="opsnb.systems.cache.starting:dependency",
)
