"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.host.settings import HostSettings

HOST = System(
    name="host",
    title="host",
    settings=HostSettings,
    address="address",
    plain="address",
    probes="opsnb.systems.host.doctor:PROBES",
)
