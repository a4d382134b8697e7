"""What `opsnb doctor` checks of this system."""

from opsnb.checks.probe import Probe
from opsnb.systems.host import reachable

PROBES = (
    Probe(
        reachable,
        tried=lambda target: f"host {target.describe()['host']}",
        down="Correct host; ssh must log in by key, without a question.",
    ),
)
