"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.deploy.settings import Deploy

DEPLOY = System(name="deploy", title="the release", settings=Deploy)
