"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.processes.settings import Processes

PROCESSES = System(
    name="processes",
    title="Processes",
    settings=Processes,
)
