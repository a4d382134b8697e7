"""The service's units, as systemd lists them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from opsnb.errors import NotConfigured
from opsnb.systems.host import Host
from opsnb.systems.processes.process import SYSTEM, Process, environment, no_list, program, whole
from opsnb.systems.processes.settings import Processes

_PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,Type,Result,RemainAfterExit,TriggeredBy,"
    "ExecMainStatus,NRestarts,ActiveEnterTimestamp,MemoryCurrent,MainPID"
)
_STARTERS = (".timer", ".socket", ".path", ".automount")
_SUFFIX = ".service"


def processes(host: Host, settings: Processes, at: datetime, limit_s: float) -> list[Process]:
    """Return the named units. Raises NotConfigured without names, BadAnswer."""
    if not settings.names:
        raise NotConfigured(
            SYSTEM,
            "systemd runs much beside the service: set names in [targets.NAME.processes] to the "
            "units that must be up.",
        )
    # In UTC, for the names of other zones are ambiguous.
    env = {**environment(host, settings), "TZ": "UTC", "SYSTEMD_COLORS": "0"}
    show = [*program(settings), "show", "--no-pager", f"--property={_PROPERTIES}"]
    return parse_systemd(settings.names, host.run([*show, "--", *settings.names], limit_s, env), at)


def parse_systemd(names: Sequence[str], text: str, at: datetime) -> list[Process]:
    """Return the units that `systemctl show` describes, in the order of `names`."""
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in re.split(r"\n\s*\n", text.strip())
    ]
    blocks = [block for block in blocks if "ActiveState" in block]
    if not blocks:
        raise no_list("systemctl", text)
    if not all("Id" in block for block in blocks):
        if len(blocks) != len(names):
            raise no_list("systemctl", text)
        pairs = list(zip(names, blocks, strict=True))
    else:
        pairs = [(name, block) for name in names for block in blocks if _is_called(block, name)]
        missing = [name for name in names if not _is_glob(name) and name not in dict(pairs)]
        if missing:
            raise no_list("systemctl", text)
    return [
        _unit(name, block, at) for name, block in pairs if block.get("LoadState") != "not-found"
    ]


def _is_glob(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def _is_called(block: dict[str, str], name: str) -> bool:
    called = {block["Id"], *block.get("Names", "").split()}
    full = name if "." in name.rpartition("@")[2] or _has_suffix(name) else f"{name}{_SUFFIX}"
    if _is_glob(name):
        return any(fnmatchcase(each, full) or fnmatchcase(each, name) for each in called)
    return bool(called & {name, full, f"{name}{_SUFFIX}"})


def _has_suffix(name: str) -> bool:
    return name.endswith((_SUFFIX, ".target", ".mount", ".slice", *_STARTERS))


def _unit(name: str, properties: dict[str, str], at: datetime) -> Process:
    active, sub = properties["ActiveState"], properties.get("SubState", "")
    # With RemainAfterExit it is active for as long as what it started is to be there.
    is_once = properties.get("Type") == "oneshot" and properties.get("RemainAfterExit") != "yes"
    is_triggered = any(
        each.endswith(_STARTERS) for each in properties.get("TriggeredBy", "").split()
    )
    is_job = (is_once or is_triggered) and active in ("inactive", "failed")
    is_up = active in ("active", "reloading")
    restarts = whole(properties.get("NRestarts", ""))
    memory = properties.get("MemoryCurrent", "")
    is_finished = is_job and active == "inactive" and properties.get("Result") in ("success", None)
    status = properties.get("ExecMainStatus", "0")
    code = f", exit code {status}" if active == "failed" and status not in ("", "0") else ""
    called = properties.get("Id", name) if _is_glob(name) else name
    return Process(
        name=called,
        aliases=(name,) if called != name else (),
        state=f"{active} ({sub}{code})",
        is_up=is_up,
        restarts=restarts,
        failures=restarts or 0,
        uptime_s=_entered(properties.get("ActiveEnterTimestamp", ""), at) if is_up else None,
        started=properties.get("ActiveEnterTimestamp", ""),
        pid=whole(properties.get("MainPID", "")) or None,
        # The largest number stands for "not counted".
        memory_bytes=int(memory) if memory.isdecimal() and int(memory) < 2**63 else None,
        is_finished=is_finished,
        is_job=is_job,
        is_starting=active == "activating" and sub != "auto-restart",
        says=_says(properties) if is_finished else "",
    )


def _says(properties: dict[str, str]) -> str:
    starter = " and ".join(properties.get("TriggeredBy", "").split())
    return f"has ended well and waits for {starter}" if starter else "has ended well"


def _entered(stamp: str, at: datetime) -> float | None:
    """Return the seconds since systemd's `Mon 2026-11-23 14:00:00 UTC`."""
    try:
        entered = datetime.strptime(stamp, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (at - entered).total_seconds())
