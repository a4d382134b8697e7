"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.cache.settings import Cache

CACHE = System(
    name="redis", table="cache", title="Redis", settings=Cache, shorthands={"redis_url": "url"}
)
