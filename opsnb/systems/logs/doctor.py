"""What `opsnb doctor` checks of this system."""

from opsnb.checks.probe import Probe
from opsnb.systems.logs import errors
from opsnb.systems.logs.settings import Logs

PROBES = (
    Probe(
        errors.given(),
        tried=lambda target: ", ".join(Logs.of(target).files),
        down="Correct logs.",
        key="logs",
    ),
)
