"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.logs.settings import Logs

LOGS = System(
    name="logs",
    title="logs",
    settings=Logs,
    shorthands={"access_logs": "access"},
    plain="files",
    probes="opsnb.systems.logs.doctor:PROBES",
)
