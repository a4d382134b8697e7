"""What df and /proc/mounts print."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opsnb.systems.host.volumes import Volume


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
