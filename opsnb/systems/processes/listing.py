"""What pm2, docker or systemd says of the processes that it keeps."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opsnb.errors import BadAnswer, NotConfigured, ServiceError
from opsnb.model import Status, now
from opsnb.settings import Processes
from opsnb.systems.host import Host, ProgramFailed, ProgramMissing, host_of
from opsnb.target import Target

SYSTEM = "processes"
_LIMIT_S = 5.0
_STATISTICS_S = 3.0
_SETTLED_S = 60.0  # a process that failed and then stayed up for so long is not in a loop


@dataclass(frozen=True)
class Process:
    """One process, container or unit; None where its manager does not say."""

    name: str
    state: str
    is_up: bool
    restarts: int | None = None
    failures: int = 0
    """Restarts after it ended by itself soon or with an error."""
    uptime_s: float | None = None
    memory_bytes: int | None = None
    cpu_percent: float | None = None
    pid: int | None = None
    heap_bytes: int | None = None
    """What lives on the heap of V8, as pm2 is told by the process itself."""
    heap_limit_bytes: int | None = None
    """Past it V8 ends the process, when it was started with such a limit."""
    aliases: tuple[str, ...] = ()
    """Other names that it may be called by."""
    is_finished: bool = False
    """It has done its work and ended well, as a migration does."""
    is_unhealthy: bool = False
    """Its own health check fails."""

    @property
    def is_looping(self) -> bool:
        """Up for the moment, after it has failed just before."""
        return self.is_up and bool(self.failures) and (self.uptime_s or 0) < _SETTLED_S

    @property
    def status(self) -> Status:
        """How it is, seen for itself."""
        if not self.is_up:
            return Status.CRIT
        return Status.WARN if self.is_looping or self.is_unhealthy else Status.OK


class DaemonGone(Exception):
    """pm2's daemon does not run, and with it nothing that it kept."""


def listed(target: Target) -> list[Process]:
    """Return what the target's manager lists.

    Raises BadAnswer when the manager cannot be asked, DaemonGone when it does not run.
    """
    settings = target.processes
    try:
        return _MANAGERS[settings.manager](host_of(target, SYSTEM), settings)
    except ProgramMissing as error:
        raise BadAnswer(
            SYSTEM,
            f"{error} Set manager and command in [targets.{target.name}.processes] to what runs "
            "the service.",
        ) from error


def program_of(target: Target) -> str:
    """Return the manager's program on the host."""
    programs = {"systemd": "systemctl"}
    manager = target.processes.manager
    return target.processes.command or programs.get(manager, manager)


def groups_of(found: Sequence[Process], settings: Processes) -> dict[str, list[Process]]:
    """Return the instances of each process that must be up: the named ones, else all."""
    if settings.names:
        return {name: [p for p in found if _is_called(p, name)] for name in settings.names}
    groups = {p.name: [q for q in found if q.name == p.name] for p in found}
    return {
        name: members
        for name, members in groups.items()
        if not all(process.is_finished for process in members)
    } or groups


def _is_called(process: Process, name: str) -> bool:
    return name == process.name or name in process.aliases


# ---- pm2 --------------------------------------------------------------------------------------


def _pm2(host: Host, settings: Processes) -> list[Process]:
    program = settings.command or "pm2"
    if not settings.command and host.has(program):
        _require_daemon(host)
    try:
        text = host.run([program, "jlist"], _LIMIT_S)
    except ProgramFailed as error:
        if "daemon" in error.said:
            raise DaemonGone(f"{error.said}.") from error
        raise
    if "Spawning PM2 daemon" in text:
        raise DaemonGone(f"pm2's daemon was not running on {host.name}.")
    return parse_pm2(text, now())


def _require_daemon(host: Host) -> None:
    """Raise when no daemon runs: whatever is asked of pm2 itself would start one."""
    home = os.environ.get("PM2_HOME", "~/.pm2") if host.is_local else "~/.pm2"
    try:
        pid = host.head(host.expand(f"{home}/pm2.pid"), 20).decode(errors="replace").strip()
    except BadAnswer:
        pid = ""
    if not (pid.isdecimal() and host.has_process(int(pid))):
        raise DaemonGone(f"pm2's daemon is not running on {host.name} as this user.")


_LIST_START = re.compile(r"\[\s*(?=[{\]])")


def parse_pm2(text: str, at: datetime) -> list[Process]:
    """Return what `pm2 jlist` prints, with or without a banner before it. Raises BadAnswer."""
    decoder = json.JSONDecoder()
    for match in _LIST_START.finditer(text):
        try:
            entries, _ = decoder.raw_decode(text, match.start())
            return [_pm2_process(entry, at) for entry in entries]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    raise _no_list("pm2", text)


def _pm2_process(entry: dict[str, Any], at: datetime) -> Process:
    env, monit = entry["pm2_env"], entry.get("monit") or {}
    is_up = env["status"] == "online"
    started_ms = env.get("pm_uptime")
    return Process(
        name=entry["name"],
        state=env["status"],
        is_up=is_up,
        restarts=env.get("restart_time"),
        failures=env.get("unstable_restarts") or 0,
        uptime_s=max(0.0, at.timestamp() - started_ms / 1000) if is_up and started_ms else None,
        memory_bytes=monit.get("memory"),
        cpu_percent=monit.get("cpu"),
        pid=entry.get("pid") or None,
        heap_bytes=_heap_bytes(env.get("axm_monitor") or {}),
        heap_limit_bytes=_heap_limit(env.get("node_args") or []),
    )


def _heap_bytes(metrics: dict[str, Any]) -> int | None:
    """Return what pm2 shows as "Used Heap Size", in MiB."""
    try:
        return int(float(metrics["Used Heap Size"]["value"]) * _UNITS["MiB"])
    except (KeyError, TypeError, ValueError):
        return None


def _heap_limit(options: Sequence[str]) -> int | None:
    """Return the limit among Node's own options, which is given in MiB."""
    found = re.search(r"--max[-_]old[-_]space[-_]size[= ](\d+)", " ".join(options))
    return int(found[1]) * _UNITS["MiB"] if found else None


# ---- docker -----------------------------------------------------------------------------------

_INSPECT = '{"id":{{json .Id}},"restarts":{{.RestartCount}},"started":{{json .State.StartedAt}}}'


def _docker(host: Host, settings: Processes) -> list[Process]:
    program = settings.command or "docker"
    listed = json_lines(
        "docker",
        host.run([program, "ps", "-a", "--no-trunc", "--format", "{{json .}}"], _LIMIT_S),
    )
    ids = [str(container.get("ID", "")) for container in listed]
    running = [str(c.get("ID", "")) for c in listed if c.get("State") == "running"]
    details = _optional(host, [program, "inspect", "--format", _INSPECT, "--", *ids], ids)
    usage = _optional(
        host,
        [program, "stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", "--", *running],
        running,
    )
    return parse_docker(listed, details, usage, now())


def _optional(host: Host, argv: Sequence[str], ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is good to know, or nothing: a container may have gone since it was listed."""
    if not ids:
        return []
    try:
        return json_lines("docker", host.run(argv, _STATISTICS_S))
    except ServiceError:
        return []


def json_lines(manager: str, text: str) -> list[dict[str, Any]]:
    """Return the JSON objects in `text`, one a line. Raises BadAnswer."""
    try:
        objects = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        raise _no_list(manager, text) from None
    if not all(isinstance(item, dict) for item in objects):
        raise _no_list(manager, text)
    return objects


def parse_docker(
    listed: Iterable[dict[str, Any]],
    details: Iterable[dict[str, Any]],
    usage: Iterable[dict[str, Any]],
    at: datetime,
) -> list[Process]:
    """Return the containers of `docker ps`, with what `inspect` and `stats` know of them."""
    by_id = {item.get("id"): item for item in details}
    used = {item.get("ID"): item for item in usage}
    return [
        _container(item, by_id.get(item.get("ID"), {}), used.get(item.get("ID"), {}), at)
        for item in listed
    ]


def _container(
    item: dict[str, Any], detail: dict[str, Any], usage: dict[str, Any], at: datetime
) -> Process:
    status, names = str(item.get("Status", "")), str(item.get("Names", "")).split(",")
    state = str(item.get("State") or ("running" if status.startswith("Up") else status))
    is_up = state == "running"
    service = re.search(r"com\.docker\.compose\.service=([^,]+)", str(item.get("Labels", "")))
    restarts = detail.get("restarts")
    return Process(
        name=names[0],
        aliases=(*names[1:], *((service[1],) if service else ())),
        state=state if is_up else status or state,
        is_up=is_up,
        is_finished=state == "exited" and status.startswith("Exited (0)"),
        is_unhealthy="(unhealthy)" in status,
        restarts=restarts,
        failures=restarts or 0,
        uptime_s=_seconds_since(detail.get("started"), at) if is_up else None,
        memory_bytes=_bytes(str(usage.get("MemUsage", ""))),
        cpu_percent=_number(str(usage.get("CPUPerc", "")).rstrip("%")),
    )


def _seconds_since(stamp: str | None, at: datetime) -> float | None:
    try:
        return max(0.0, (at - datetime.fromisoformat(stamp or "")).total_seconds())
    except ValueError:
        return None


_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _bytes(text: str) -> int | None:
    """Return the bytes in docker's `52.3MiB / 1GiB`."""
    match = re.match(r"([\d.]+)(B|[KMGT]iB)\b", text)
    return int(float(match[1]) * _UNITS[match[2]]) if match else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# ---- systemd ----------------------------------------------------------------------------------

_PROPERTIES = "LoadState,ActiveState,SubState,NRestarts,ActiveEnterTimestamp,MemoryCurrent"


def _systemd(host: Host, settings: Processes) -> list[Process]:
    if not settings.names:
        raise NotConfigured(
            SYSTEM,
            "systemd runs much beside the service: set names in [targets.NAME.processes] to the "
            "units that must be up.",
        )
    program = settings.command or "systemctl"
    # In UTC, for the names of other zones are ambiguous.
    show = ["env", "LC_ALL=C", "TZ=UTC", program, "show", f"--property={_PROPERTIES}"]
    return parse_systemd(settings.names, host.run([*show, "--", *settings.names], _LIMIT_S), now())


def parse_systemd(names: Sequence[str], text: str, at: datetime) -> list[Process]:
    """Return the units that `systemctl show` describes, in the order of `names`."""
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in re.split(r"\n\s*\n", text.strip())
    ]
    if len(blocks) != len(names) or not all("ActiveState" in block for block in blocks):
        raise _no_list("systemctl", text)
    return [
        _unit(name, block, at)
        for name, block in zip(names, blocks, strict=True)
        if block.get("LoadState") != "not-found"
    ]


def _unit(name: str, properties: dict[str, str], at: datetime) -> Process:
    is_up = properties["ActiveState"] in ("active", "reloading")
    restarts = properties.get("NRestarts", "")
    memory = properties.get("MemoryCurrent", "")
    return Process(
        name=name,
        state=f"{properties['ActiveState']} ({properties.get('SubState', '')})",
        is_up=is_up,
        restarts=int(restarts) if restarts.isdecimal() else None,
        failures=int(restarts) if restarts.isdecimal() else 0,
        uptime_s=_entered(properties.get("ActiveEnterTimestamp", ""), at) if is_up else None,
        # The largest number stands for "not counted".
        memory_bytes=int(memory) if memory.isdecimal() and int(memory) < 2**63 else None,
    )


def _entered(stamp: str, at: datetime) -> float | None:
    """Return the seconds since systemd's `Mon 2026-11-23 14:00:00 UTC`."""
    try:
        entered = datetime.strptime(stamp, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (at - entered).total_seconds())


def _no_list(manager: str, text: str) -> BadAnswer:
    shown = " ".join(text.split())[:80]
    return BadAnswer(SYSTEM, f"{manager} did not list its processes, but said {shown!r}.")


_MANAGERS: dict[str, Callable[[Host, Processes], list[Process]]] = {
    "pm2": _pm2,
    "docker": _docker,
    "systemd": _systemd,
}


def worker_of(target: Target) -> str:
    """Return the process of the workers where the names in opsnb.toml leave no doubt, else empty.

    That is the only one, or the only one that is called a worker.
    """
    names = target.processes.names
    called = [name for name in names if "worker" in name.lower()]
    chosen = called or names
    return chosen[0] if len(chosen) == 1 else ""
