"""What `opsnb doctor` checks of this system."""

from opsnb.checks.probe import Probe
from opsnb.config.target import Target
from opsnb.systems.processes import up
from opsnb.systems.processes.settings import Processes


def _listed(target: Target) -> str:
    settings = Processes.of(target)
    return f"{settings.command or settings.manager}: list"


PROBES = (
    Probe(
        up,
        tried=_listed,
        down="Start the process manager, or correct [targets.NAME.processes].",
        found="Start what is down, or correct [targets.NAME.processes].",
    ),
)
