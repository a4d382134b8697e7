"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.logs.settings import Logs

LOGS = System(
    name="logs", title="Logs", settings=Logs, shorthands={"access_logs": "access"}, plain="files"
)
