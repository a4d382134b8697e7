"""How opsnb knows this system."""

from opsnb.config.systems import System

DEPENDENCIES = System(name="dependencies", title="what the service depends on")
