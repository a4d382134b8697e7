"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.host.disks import Volume, disk, parse_df, real_volumes
from opsnb.systems.host.ram import memory, parse_meminfo
from opsnb.systems.host.running import (
    SYSTEM,
    Host,
    ProgramFailed,
    ProgramMissing,
    host_of,
)
from opsnb.systems.host.vitals import cpu, parse_ticks, parse_vitals, reachable

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
