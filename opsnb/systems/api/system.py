"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.api.settings import Api

API = System(name="api", title="API", settings=Api, shorthands={"api_url": "url"})
