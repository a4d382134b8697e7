"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.processes.checks import judge, up
from opsnb.systems.processes.docker import parse_docker
from opsnb.systems.processes.growing import Growth, growth
from opsnb.systems.processes.listing import groups_of, listed, worker_of
from opsnb.systems.processes.pm2 import parse_pm2
from opsnb.systems.processes.process import SYSTEM, DaemonGone, Process, environment, program
from opsnb.systems.processes.programs import largest
from opsnb.systems.processes.restarting import restart
from opsnb.systems.processes.scaling import scale
from opsnb.systems.processes.systemd import parse_systemd

__all__ = [
    "SYSTEM",
    "DaemonGone",
    "Growth",
    "Process",
    "environment",
    "groups_of",
    "growth",
    "judge",
    "largest",
    "listed",
    "parse_docker",
    "parse_pm2",
    "parse_systemd",
    "program",
    "restart",
    "scale",
    "up",
    "worker_of",
]
