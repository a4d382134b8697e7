"""The service's processes, as pm2, docker or systemd keep them."""

from opsnb.systems.processes.checks import judge, up
from opsnb.systems.processes.growing import Growth, growth
from opsnb.systems.processes.listing import (
    SYSTEM,
    DaemonGone,
    Process,
    groups_of,
    listed,
    parse_docker,
    parse_pm2,
    parse_systemd,
    worker_of,
)
from opsnb.systems.processes.programs import largest
from opsnb.systems.processes.restarting import restart
from opsnb.systems.processes.scaling import scale

__all__ = [
    "SYSTEM",
    "DaemonGone",
    "Growth",
    "Process",
    "groups_of",
    "growth",
    "judge",
    "largest",
    "listed",
    "parse_docker",
    "parse_pm2",
    "parse_systemd",
    "restart",
    "scale",
    "up",
    "worker_of",
]
