"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.host.df import parse_df
from opsnb.systems.host.disks import disk
from opsnb.systems.host.ram import memory, parse_meminfo
from opsnb.systems.host.running import (
    SYSTEM,
    Host,
    ProgramFailed,
    ProgramMissing,
    host_of,
)
from opsnb.systems.host.vitals import cpu, parse_ticks, parse_vitals, reachable
from opsnb.systems.host.volumes import Volume, real_volumes

__all__ = [
    "SYSTEM",
    "Host",
    "ProgramFailed",
    "ProgramMissing",
    "Volume",
    "cpu",
    "disk",
    "host_of",
    "memory",
    "parse_df",
    "parse_meminfo",
    "parse_ticks",
    "parse_vitals",
    "reachable",
    "real_volumes",
]
