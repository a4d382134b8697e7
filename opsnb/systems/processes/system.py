"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.processes.settings import Processes

PROCESSES = System(
    name="processes",
    title="processes",
    settings=Processes,
    probes="opsnb.systems.processes.doctor:PROBES",
)
