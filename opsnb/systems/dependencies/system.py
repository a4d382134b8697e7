"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.dependencies.settings import Restart

DEPENDENCIES = System(
    name="dependencies", title="What the service depends on", settings=Restart, table="restart"
)
