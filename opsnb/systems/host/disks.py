"""The machine's disks: which file systems can fill up, and how full they are."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import psutil

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, TimedOut
from opsnb.model import Finding, Row, Status, Threshold, worst
from opsnb.systems.host.df import parse_df, parse_mounts
from opsnb.systems.host.running import SYSTEM, Host, ProgramFailed, host_of
from opsnb.systems.host.volumes import Volume, is_network, pools, real_volumes
from opsnb.systems.logs.settings import Logs
from opsnb.view.formats import GIB

_CALL_S = 5.0
_MOUNTS = "/proc/mounts"


@check(
    needs=(SYSTEM,),
    limit_s=20.0,
    treated_by=treated_by(
        "maintenance/weekly",
        "shows the old logs and jobs that can go; with --apply removes them",
        packages=False,
        outside_window=True,
    ),
)
def disk(target: Target) -> Finding:
    """Disk space.

    Of every file system that can fill up, also of one in memory that the target's logs are on.
    """
    host = host_of(target, limit_s=18.0)
    used = [host.expand(path) for path in (*Logs.of(target).files, *Logs.of(target).access)]
    volumes, silent = _local_volumes(used) if host.is_local else _remote_volumes(host, used)
    if not volumes:
        raise BadAnswer(SYSTEM, f"No file system of {host.name} could be measured.")
    return _disk_finding(volumes, silent, target.threshold("disk_used_percent"))


def _local_volumes(used: Iterable[str]) -> tuple[list[Volume], list[str]]:
    """Return this machine's volumes, and the mount points that do not respond.

    A network file system whose server is gone blocks its reader, so each has its own thread.
    """
    mounted = real_volumes(
        (
            Volume(
                part.device,
                part.fstype,
                part.mountpoint,
                is_read_only="ro" in part.opts.split(","),
            )
            for part in psutil.disk_partitions(all=True)
        ),
        [os.path.realpath(path) for path in used],
    )
    measured: dict[str, Volume | None] = {}

    def measure(volume: Volume) -> None:
        measured[volume.mount] = _measured(volume)

    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(measure, volume), daemon=True)
        for volume in mounted
    ]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + _CALL_S
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    volumes = [volume for mount in mounted if (volume := measured.get(mount.mount))]
    return volumes, [volume.mount for volume in mounted if volume.mount not in measured]


def _measured(volume: Volume) -> Volume | None:
    """Return `volume` with its sizes; None when it has none, or cannot be read."""
    try:
        if not Path(volume.mount).is_dir():
            return None  # a single file that is mounted, from a disk of the container's host
        usage, inodes = psutil.disk_usage(volume.mount), os.statvfs(volume.mount)
    except OSError as error:
        evidence.partial(f"{volume.mount}: {error.strerror}")
        return None
    if not usage.total:
        return None
    return replace(
        volume,
        size=usage.total,
        used=usage.used,
        free=usage.free,
        inodes=inodes.f_files,
        inodes_free=inodes.f_ffree,
    )


def _remote_volumes(host: Host, used: Iterable[str]) -> tuple[list[Volume], list[str]]:
    mounts = parse_mounts(host.texts([_MOUNTS]).get(_MOUNTS, ""))
    try:
        space, silent = _df(host, "-Pk"), []
    except TimedOut:
        # One network file system whose server is gone hangs the whole of df.
        space = _df(host, "-Pk", "-l")
        silent = [mount for mount, (kind, _) in mounts.items() if is_network(kind)]
    try:
        inodes = _df(host, "-Pi", *(["-l"] if silent else []))
    except ProgramFailed:
        evidence.without("the inodes, for df there does not count them")
        inodes = ""
    volumes = parse_df(space, inodes, mounts)
    return real_volumes(volumes, used), silent


def _df(host: Host, *options: str) -> str:
    """Return what df prints, with the kinds of the file systems where it knows that option."""
    try:
        return host.run(["df", f"{options[0]}T", *options[1:]])
    except ProgramFailed as error:
        if error.output:
            return error.output  # one mount that this user may not read fails the whole command
    try:
        return host.run(["df", *options])  # as busybox has it
    except ProgramFailed as error:
        if not error.output:
            raise
        return error.output


def _disk_finding(volumes: list[Volume], silent: list[str], limits: Threshold) -> Finding:
    volumes = pools(volumes)
    fullest = max(volumes, key=lambda volume: volume.used_percent)
    message = (
        f"{fullest.mount} is the fullest file system: {fullest.used_percent:.0f}% used, "
        f"{fullest.free / GIB:.1f} GiB free."
    )
    scarce = [volume for volume in volumes if _judge_inodes(volume, limits) is not Status.OK]
    for volume in scarce:
        message += f" {volume.mount} has {volume.inodes_percent:.0f}% of its inodes used."
    if silent:
        message += f" {', '.join(silent)} did not respond within {_CALL_S:g} s."
    rows: list[Row] = [
        {
            "mount": volume.mount,
            "device": volume.device,
            "type": volume.kind,
            "size_bytes": volume.size,
            "used_bytes": volume.used,
            "free_bytes": volume.free,
            "used_percent": round(volume.used_percent, 1),
            "inodes_percent": volume.inodes_percent and round(volume.inodes_percent, 1),
            "status": worst([limits.judge(volume.used_percent), _judge_inodes(volume, limits)]),
        }
        for volume in volumes
    ]
    statuses = [row["status"] for row in rows] + [Status.UNKNOWN for _ in silent]
    finding = Finding.measured(round(fullest.used_percent, 1), limits, message, rows=rows)
    return finding.model_copy(update={"status": worst(statuses)})


def _judge_inodes(volume: Volume, limits: Threshold) -> Status:
    percent = volume.inodes_percent
    return Status.OK if percent is None else limits.judge(percent)
