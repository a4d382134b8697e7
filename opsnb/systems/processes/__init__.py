"""The service's processes, as pm2, docker or systemd keep them."""

from opsnb.systems.processes.checks import judge, up
from opsnb.systems.processes.listing import (
    SYSTEM,
    DaemonGone,
    Process,
    groups_of,
    listed,
    parse_docker,
    parse_pm2,
    parse_systemd,
)
from opsnb.systems.processes.restarting import restart
from opsnb.systems.processes.scaling import scale

__all__ = [
    "SYSTEM",
    "DaemonGone",
    "Process",
    "groups_of",
    "judge",
    "listed",
    "parse_docker",
    "parse_pm2",
    "parse_systemd",
    "restart",
    "scale",
    "up",
]
