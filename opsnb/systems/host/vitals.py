"""Whether the machine responds, and how busy its processor is."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass, replace
from datetime import timedelta

import psutil

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status, Threshold
from opsnb.systems.host import cgroups
from opsnb.systems.host.running import SYSTEM, Host, host_of

_CPU_S = 1.0
_LINUX = "Linux"
_TICKS_PER_S = 100  # of /proc/stat on every Linux


@check(probes=SYSTEM, treated_by="use the console of the machine, or correct `host` in opsnb.toml")
def reachable(target: Target) -> Finding:
    """Connection to the machine."""
    host = host_of(target)
    vitals = _vitals(host)
    up = timedelta(seconds=int(vitals.uptime_s))
    load = ", ".join(f"{value:.2f}" for value in vitals.load)
    cores = "core" if vitals.cores == 1 else "cores"
    return Finding(
        status=Status.OK,
        message=f"{vitals.name} is up for {up}, load {load} on {vitals.cores} {cores}.",
        rows=[
            {
                "name": vitals.name,
                "uptime_s": int(vitals.uptime_s),
                "load_1m": vitals.load[0],
                "load_5m": vitals.load[1],
                "load_15m": vitals.load[2],
                "cores": vitals.cores,
                "limit_cores": vitals.limit_cores,
            }
        ],
    )


@check(needs=(SYSTEM,))
def cpu(target: Target) -> Finding:
    """Processor.

    How busy it is within a second, all cores together; in a container, of what it may use.
    """
    host = host_of(target)
    before = _usage(host)
    time.sleep(_CPU_S)
    return _cpu_finding(before, _usage(host), target.threshold("cpu_used_percent"))


def is_linux(host: Host) -> bool:
    """Return whether /proc can be read there; over ssh Linux is expected."""
    return not host.is_local or platform.system() == _LINUX


# ---- the machine ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Vitals:
    name: str
    uptime_s: float
    load: tuple[float, float, float]
    cores: int
    limit_cores: float | None = None
    """How many the container may use, where that is limited."""


_VITALS = tuple(f"/proc/{file}" for file in ("sys/kernel/hostname", "loadavg", "uptime", "stat"))


def _vitals(host: Host) -> _Vitals:
    files = cgroups.read(host, *_VITALS) if is_linux(host) else {}
    if not host.is_local:
        found = parse_vitals("".join(files.get(path, "\n") for path in _VITALS))
    else:
        found = _Vitals(
            name=os.uname().nodename,
            uptime_s=time.time() - psutil.boot_time(),
            load=psutil.getloadavg(),
            cores=psutil.cpu_count() or 1,
        )
    limit = cgroups.processor(files, found.cores)
    return replace(found, limit_cores=limit.cores if limit else None)


def parse_vitals(text: str) -> _Vitals:
    """Return what /proc's hostname, loadavg, uptime and stat say, one after the other."""
    try:
        name, load, uptime, *counters = text.splitlines()
        one, five, fifteen = (float(word) for word in load.split()[:3])
        cores = sum(bool(re.match(r"cpu\d", line)) for line in counters)
        return _Vitals(name, float(uptime.split()[0]), (one, five, fifteen), cores)
    except (ValueError, IndexError):
        raise BadAnswer(SYSTEM, "The host's /proc is not that of a Linux machine.") from None


# ---- processor --------------------------------------------------------------------------------

_TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_IDLE = ("idle", "iowait")


@dataclass(frozen=True)
class _Usage:
    ticks: dict[str, float]
    """The machine's time by kind, in seconds of all cores together."""
    cores: int
    limit: cgroups.Processor | None
    """Of the container, where there is one."""


def _usage(host: Host) -> _Usage:
    if not is_linux(host):
        times = psutil.cpu_times()
        ticks = {name: getattr(times, name, 0.0) for name in _TICKS}
        return _Usage(ticks, psutil.cpu_count() or 1, None)
    files = cgroups.read(host, "/proc/stat")
    text = files.get("/proc/stat", "")
    cores = len(re.findall(r"(?m)^cpu\d", text)) or 1
    return _Usage(parse_ticks(text), cores, cgroups.processor(files, cores))


def parse_ticks(text: str) -> dict[str, float]:
    """Return the processor's time by kind, as the first line of /proc/stat has it."""
    name, *ticks = (text.splitlines() or [""])[0].split() or [""]
    if name != "cpu" or len(ticks) < len(_TICKS):
        raise BadAnswer(SYSTEM, "The host's /proc/stat is not that of a Linux machine.")
    return {kind: float(value) / _TICKS_PER_S for kind, value in zip(_TICKS, ticks, strict=False)}


def _cpu_finding(before: _Usage, after: _Usage, limits: Threshold) -> Finding:
    spent = {name: after.ticks[name] - before.ticks[name] for name in _TICKS}
    total = sum(spent.values()) or 1.0
    busy = 100 * (1 - sum(spent[name] for name in _IDLE) / total)
    shares = {name: round(100 * ticks / total, 1) for name, ticks in spent.items()}
    message = f"CPU {busy:.0f}% busy"
    if shares["iowait"] >= 1 or shares["steal"] >= 1:
        message += f", {shares['iowait']:g}% waits for disks, {shares['steal']:g}% goes to others"
    # Beside the limits for what is busy, what is idle would look like an alert.
    rows: list[Row] = [
        {"kind": name, "percent": share} for name, share in shares.items() if name != "idle"
    ]
    if before.limit and after.limit:
        passed = total / after.cores
        busy = 100 * (after.limit.used_s - before.limit.used_s) / passed / after.limit.cores
        message = (
            f"{busy:.0f}% of the {after.limit.cores:g} cores that the container may use are busy; "
            f"of the machine: {message}"
        )
    return Finding.measured(round(busy, 1), limits, f"{message}.", rows=rows)
