"""How opsnb knows this system."""

from opsnb.config.systems import System

PACKAGES = System(name="packages", title="packages")
