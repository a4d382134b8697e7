"""The machine's disks: which file systems can fill up, and how full they are."""

from __future__ import annotations

import contextvars
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import psutil

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, TimedOut
from opsnb.model import Finding, Row, Status, Threshold, worst
from opsnb.systems.host.running import SYSTEM, Host, ProgramFailed, host_of
from opsnb.systems.logs.settings import Logs

_CALL_S = 5.0
_GIB = 2**30
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


@dataclass(frozen=True)
class Volume:
    """A mounted file system; sizes in bytes. `inodes` is 0 where they are without number."""

    device: str
    kind: str
    mount: str
    size: int = 0
    used: int = 0
    free: int = 0
    inodes: int = 0
    inodes_free: int = 0
    is_read_only: bool = False

    @property
    def used_percent(self) -> float:
        """As df counts it: of what ordinary users may use, without the share kept for root."""
        usable = self.used + self.free
        return 100 * self.used / usable if usable else 0.0

    @property
    def inodes_percent(self) -> float | None:
        """None where there is no limit to them."""
        return 100 * (self.inodes - self.inodes_free) / self.inodes if self.inodes else None


# Always full by nature: read-only images, of which a snap mounts one each.
_IMAGES = frozenset(("squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs", "composefs"))
# Views of the kernel, of memory, or of a file system that is listed anyway.
_VIRTUAL = frozenset(
    (
        *("tmpfs", "devtmpfs", "ramfs", "rootfs", "overlay", "aufs", "fuse-overlayfs"),
        *("proc", "sysfs", "devpts", "devfs", "cgroup", "cgroup2", "shiftfs", "fdescfs"),
        *("securityfs", "debugfs", "tracefs", "configfs", "pstore", "bpf", "mqueue"),
        *("hugetlbfs", "autofs", "binfmt_misc", "efivarfs", "fusectl", "rpc_pipefs", "nsfs"),
        *("selinuxfs", "binder", "overlayfs", "none", "nullfs"),
    )
)
# Of the file systems that programs make, those that hold files; others show what is elsewhere.
_STORING_FUSE = ("sshfs", "glusterfs", "ceph", "mergerfs", "ntfs", "exfat", "zfs", "mfs", "cryfs")
_NETWORK = ("nfs", "cifs", "smb", "ceph", "glusterfs", "sshfs", "9p", "afs", "lustre", "ocfs2")
# What a container engine mounts over a container's files, from the disk of its host.
_CONTAINER_FILES = frozenset(("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"))
# Written at an installation only.
_FIRMWARE = frozenset(("/boot/efi", "/efi", "/boot/firmware"))


def real_volumes(mounted: Iterable[Volume], used: Iterable[str] = ()) -> list[Volume]:
    """Return those that can fill up, each device once, by the shortest of its mount points.

    The root is always one of them: in a container it is an overlay. So is each that one of the
    paths `used` is on.
    """
    by_length = sorted(mounted, key=lambda volume: len(volume.mount))
    wanted = {"/", *(_mount_of(path, by_length) for path in used)}
    chosen: dict[str, Volume] = {}
    for volume in by_length:
        if volume.kind in _IMAGES or not (volume.mount in wanted or _can_fill_up(volume)):
            continue
        # A device without a path ("none", "overlay") says nothing about being the same one.
        key = volume.device if "/" in volume.device else volume.mount
        chosen.setdefault(key, volume)
    return sorted(chosen.values(), key=lambda volume: volume.mount)


def _can_fill_up(volume: Volume) -> bool:
    kind = volume.kind
    if kind.startswith("fuse.") and not any(name in kind for name in _STORING_FUSE):
        return False
    never = volume.mount in _CONTAINER_FILES or volume.mount in _FIRMWARE
    return not (volume.is_read_only or kind in _VIRTUAL or never)


def pools(volumes: Iterable[Volume]) -> list[Volume]:
    """Return the volumes, with the datasets of a ZFS pool that share what is free as one."""
    groups: dict[tuple[str, int], list[Volume]] = defaultdict(list)
    for volume in volumes:
        is_dataset = volume.kind == "zfs"
        # What is free is measured one after the other, so it may differ by a little.
        key = (
            (volume.device.partition("/")[0], volume.free >> 28)
            if is_dataset
            else (volume.mount, -1)
        )
        groups[key].append(volume)
    return [
        replace(
            members[0],
            size=sum(each.used for each in members) + members[0].free,
            used=sum(each.used for each in members),
        )
        if len(members) > 1
        else members[0]
        for members in groups.values()
    ]


def _mount_of(path: str, by_length: Sequence[Volume]) -> str:
    holding = (each.mount for each in by_length if PurePosixPath(path).is_relative_to(each.mount))
    return max(holding, key=len, default="/")


def _local_volumes(used: Iterable[str]) -> tuple[list[Volume], list[str]]:
    """Return this machine's volumes, and the mount points that do not answer.

    A network file system whose server is gone hangs whoever asks, so each is asked on its own.
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
    """Return `volume` with its sizes; None when it has none, or cannot be looked at."""
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
        silent = [mount for mount, (kind, _) in mounts.items() if _is_network(kind)]
    try:
        inodes = _df(host, "-Pi", *(["-l"] if silent else []))
    except ProgramFailed:
        evidence.without("the inodes, for df there does not count them")
        inodes = ""
    volumes = parse_df(space, inodes, mounts)
    return real_volumes(volumes, used), silent


def _is_network(kind: str) -> bool:
    return any(kind.removeprefix("fuse.").startswith(name) for name in _NETWORK)


def _df(host: Host, *options: str) -> str:
    """Return what df prints, with the kinds of the file systems where it knows that option."""
    try:
        return host.run(["df", f"{options[0]}T", *options[1:]])
    except ProgramFailed as error:
        if error.output:
            return error.output  # one mount that this user may not look at fails the whole command
    try:
        return host.run(["df", *options])  # as busybox has it
    except ProgramFailed as error:
        if not error.output:
            raise
        return error.output


def parse_mounts(text: str) -> dict[str, tuple[str, bool]]:
    """Return what /proc/mounts says: the kind of each mount point, and whether it is read-only."""
    found = {}
    for line in text.splitlines():
        _, mount, kind, options, *_ = [*line.split(" "), "", "", "", ""]
        mount = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), mount)
        if mount:
            found[mount] = (kind, "ro" in options.split(","))
    return found


_DF_LINE = re.compile(
    r"(?P<device>.*?)(?:\s+(?P<kind>[a-zA-Z]\S*))??\s+(?P<size>\d+)\s+(?P<used>-?\d+)"
    r"\s+(?P<free>-?\d+)\s+(?:\d+%|-)\s+(?P<mount>/.*)"
)


def parse_df(
    space: str, inodes: str, mounts: Mapping[str, tuple[str, bool]] | None = None
) -> list[Volume]:
    """Return what `df -Pk` and `df -Pi` print, with or without the kinds of `-T`.

    `mounts` are those of /proc/mounts, which know the kinds as well.
    """
    counts = {
        match["mount"]: (int(match["size"]), int(match["free"])) for match in _df_lines(inodes)
    }
    kinds = {kind for kind, _ in (mounts or {}).values()}
    found = []
    for match in _df_lines(space):
        mount = match["mount"]
        kind, is_read_only = (mounts or {}).get(mount, (match["kind"] or "", False))
        device = match["device"]
        # Without a kind, "name kind" may be a device with a blank in its name.
        if match["kind"] and mounts and match["kind"] not in kinds:
            device = f"{device} {match['kind']}" if device else match["kind"]
        if int(match["size"]):
            found.append(
                Volume(
                    device,
                    kind,
                    mount,
                    int(match["size"]) * 1024,
                    int(match["used"]) * 1024,
                    int(match["free"]) * 1024,
                    *counts.get(mount, (0, 0)),
                    is_read_only,
                )
            )
    return found


def _df_lines(text: str) -> list[re.Match[str]]:
    return [match for line in text.splitlines() if (match := _DF_LINE.fullmatch(line.rstrip()))]


def _disk_finding(volumes: list[Volume], silent: list[str], limits: Threshold) -> Finding:
    volumes = pools(volumes)
    fullest = max(volumes, key=lambda volume: volume.used_percent)
    message = (
        f"{fullest.mount} is the fullest file system: {fullest.used_percent:.0f}% used, "
        f"{fullest.free / _GIB:.1f} GiB free."
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
            "inodes_percent": _rounded(volume.inodes_percent),
            "status": worst(_judgements(volume, limits)),
        }
        for volume in volumes
    ]
    statuses = [row["status"] for row in rows] + [Status.UNKNOWN for _ in silent]
    finding = Finding.measured(round(fullest.used_percent, 1), limits, message, rows=rows)
    return finding.model_copy(update={"status": worst(statuses)})


def _judgements(volume: Volume, limits: Threshold) -> tuple[Status, Status]:
    return limits.judge(volume.used_percent), _judge_inodes(volume, limits)


def _judge_inodes(volume: Volume, limits: Threshold) -> Status:
    percent = volume.inodes_percent
    return Status.OK if percent is None else limits.judge(percent)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
