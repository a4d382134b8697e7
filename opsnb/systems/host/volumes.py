"""File systems that are mounted, and which of them can fill up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Volume:
    """A mounted file system; sizes in bytes. `inodes` is 0 where they are unlimited."""

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

    The root is always one of them: in a container it is an overlay. So is each that holds a path
    of `used`.
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


def is_network(kind: str) -> bool:
    """Whether a file system of this kind is served over the network."""
    return any(kind.removeprefix("fuse.").startswith(name) for name in _NETWORK)
