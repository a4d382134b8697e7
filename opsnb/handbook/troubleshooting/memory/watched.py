"""The memory of the machine and its processes while they are watched, and over that time."""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.checks.check import check
from opsnb.checks.reading import Reading
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, ServiceError
from opsnb.model import Finding, Row, Status
from opsnb.systems import host, processes
from opsnb.systems.processes import DaemonGone, Growth
from opsnb.view import commands
from opsnb.view.formats import MIB, span

_SYSTEMS = (host.SYSTEM,)
_WATCHING_LIMIT_S = 90.0


@dataclass(frozen=True)
class Watch:
    """The machine's memory, and its processes while they were watched; sizes in bytes."""

    seconds: float
    watched: list[Growth] | ServiceError
    """The processes, or why none could be watched; the machine's memory is known all the same."""
    total: int
    available: int
    is_short: bool

    @property
    def growths(self) -> list[Growth]:
        """The processes that were watched. Raises ServiceError when there is none."""
        if isinstance(self.watched, ServiceError):
            raise self.watched
        return self.watched


def watch(seconds: float) -> Reading[Watch]:
    """Return what the checks judge: the processes, watched for `seconds` once."""
    return Reading(lambda target: _watch(target, seconds))


def _watch(target: Target, seconds: float) -> Watch:
    watched = _growths(target, seconds)
    machine = host.memory(target)
    ram, is_short = machine.rows[0], machine.status is not Status.OK
    return Watch(seconds, watched, ram["size_bytes"], ram["free_bytes"], is_short)


def _growths(target: Target, seconds: float) -> list[Growth] | ServiceError:
    """Return the processes while they were watched, or why none could be."""
    try:
        growths = processes.growth(target, seconds)
    except DaemonGone as error:
        start = commands.run("incidents/service_down", target, apply=True)
        message = f"{error} Start it: {start}"
        return BadAnswer(processes.SYSTEM, message)
    except ServiceError as error:
        return error
    return growths or BadAnswer(
        processes.SYSTEM, "No process of the service was up, and measured, all the time."
    )


@check(needs=_SYSTEMS, limit_s=_WATCHING_LIMIT_S, recorded_as="memory.course")
def over_time(target: Target, watched: Reading[Watch]) -> Finding:
    """Memory of the processes while they were watched"""
    growths = watched.of(target).growths
    samples = zip(*(growth.samples for growth in growths), strict=True)
    rows: list[Row] = [
        {
            "s": round(sample[0][0], 1),
            **{growth.label: mib(size) for growth, (_, size) in zip(growths, sample, strict=True)},
        }
        for sample in samples
    ]
    sizes = ", ".join(f"{growth.label} {mib(growth.size):g} MiB" for growth in growths)
    return Finding(status=Status.OK, message=f"{sizes}.", unit="MiB", rows=rows)


def growth_row(growth: Growth) -> Row:
    """Return the row of a process."""
    line, process = growth.trend, growth.process
    return {
        "process": growth.label,
        "mib": mib(growth.size),
        "mib_per_min": mib(60 * line.slope) if line else None,
        "uncertain_by": mib(60 * (line.most - line.slope)) if line else None,
        "heap_mib": mib(process.heap_bytes) if process.heap_bytes else None,
        "up_for": span(process.uptime_s) if process.uptime_s is not None else None,
    }


def mib(size: float) -> float:
    """Return a size in MiB."""
    return round(size / MIB, 1)
