"""Containers, as docker or podman lists them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from opsnb.errors import ServiceError
from opsnb.systems.host import Host
from opsnb.systems.processes.process import (
    Process,
    cut_off,
    environment,
    flag,
    no_list,
    number,
    program,
    whole,
)
from opsnb.systems.processes.settings import Processes

_STATISTICS_S = 3.0
_INSPECT = (
    '{"id":{{json .Id}},"restarts":{{.RestartCount}},"started":{{json .State.StartedAt}},'
    '"policy":{{json .HostConfig.RestartPolicy.Name}},"code":{{.State.ExitCode}}}'
)
_SWARM = "com.docker.swarm.service.name"
_PAST = ("exited", "dead", "created", "removing")
_ENDS_FOR_GOOD = ("", "no", "on-failure")
"""The restart policies under which a container that ended with code 0 is done."""


def processes(host: Host, settings: Processes, at: datetime, limit_s: float) -> list[Process]:
    """Return the containers, also those that do not run. Raises BadAnswer."""
    argv, env = program(settings), environment(host, settings)
    listed = json_lines(
        "docker",
        host.run([*argv, "ps", "-a", "--no-trunc", "--format", "{{json .}}"], limit_s, env),
    )
    ids = [_id(container) for container in listed]
    running = [_id(container) for container in listed if _state(container) == "running"]
    details = _optional(
        host,
        [*argv, "inspect", "--format", _INSPECT, "--", *ids],
        ids,
        env,
    )
    usage = _optional(
        host,
        [*argv, "stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", "--", *running],
        running,
        env,
    )
    return parse_docker(listed, details, usage, at)


def _optional(
    host: Host, argv: Sequence[str], ids: Sequence[str], env: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return optional output, or nothing: a container may have gone since it was listed."""
    if not ids:
        return []
    try:
        return json_lines("docker", host.run(argv, _STATISTICS_S, env))
    except ServiceError:
        return []


def json_lines(manager: str, text: str) -> list[dict[str, Any]]:
    """Return the JSON objects in `text`, one a line or in one list. Raises BadAnswer."""
    if text.lstrip().startswith("["):
        try:
            objects = json.loads(text)
        except ValueError:
            raise cut_off(manager, text) from None
    else:
        lines = [line for line in text.splitlines() if line.strip()]
        documents = [line for line in lines if line.lstrip().startswith("{")]
        if lines and not documents:
            raise no_list(manager, text)
        try:
            objects = [json.loads(line) for line in documents]
        except ValueError:
            raise cut_off(manager, text) from None
    if not all(isinstance(item, dict) for item in objects):
        raise no_list(manager, text)
    return list(objects)


def parse_docker(
    listed: Iterable[dict[str, Any]],
    details: Iterable[dict[str, Any]],
    usage: Iterable[dict[str, Any]],
    at: datetime,
) -> list[Process]:
    """Return the containers of `docker ps`, with what `inspect` and `stats` know of them."""
    by_id = {_id(item): item for item in details}
    used = {_id(item): item for item in usage}
    return [
        _container(item, by_id.get(_id(item), {}), used.get(_id(item), {}), at)
        for item in _without_past(listed)
        if not flag(_labels(item).get("com.docker.compose.oneoff", "false"))
    ]


def _without_past(listed: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the earlier tasks that swarm keeps: they are of a former release.

    Of a service of which nothing runs here the newest is kept, which docker lists first.
    """
    kept: dict[str, list[dict[str, Any]]] = {}
    others = []
    for item in listed:
        service = _labels(item).get(_SWARM, "")
        if not service:
            others.append(item)
            continue
        tasks = kept.setdefault(service, [])
        is_past = _state(item) in _PAST
        if not is_past:
            tasks[:] = [task for task in tasks if _state(task) not in _PAST]
        if not (is_past and tasks):
            tasks.append(item)
    return [*others, *(item for tasks in kept.values() for item in tasks)]


def _id(item: dict[str, Any]) -> str:
    """Return a container's id, which docker and podman call by several names."""
    names = ("ID", "Id", "id", "Container", "ContainerID")
    return next((str(item[name]) for name in names if item.get(name)), "")


def _state(item: dict[str, Any]) -> str:
    status = str(item.get("Status", ""))
    return str(item.get("State") or ("running" if status.startswith("Up") else status)).lower()


def _labels(item: dict[str, Any]) -> dict[str, str]:
    labels = item.get("Labels") or {}
    if isinstance(labels, dict):
        return {str(name): str(value) for name, value in labels.items()}
    pairs = (each.partition("=") for each in str(labels).split(","))
    return {name: value for name, _, value in pairs}


def _names(item: dict[str, Any]) -> list[str]:
    names = item.get("Names") or item.get("Name") or ""
    found = names if isinstance(names, list) else str(names).split(",")
    return [str(name).removeprefix("/") for name in found] or [_id(item)[:12]]  # type: ignore[cut]  # as Docker names it


def _aliases(names: Sequence[str], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return a container's other names: compose 1 wrote `_` where 2 writes `-`."""
    project = labels.get("com.docker.compose.project", "")
    service = labels.get("com.docker.compose.service", "")
    swarm = labels.get(_SWARM, "")
    found = [*names[1:], service, swarm]
    if project and service:
        copy = labels.get("com.docker.compose.container-number", "")
        for mark in "_-":
            found += [f"{project}{mark}{service}"]
            found += [f"{project}{mark}{service}{mark}{copy}"] if copy else []
    elif match := re.fullmatch(r"(.+)([-_])(.+)\2(\d+)", names[0]):
        other = "-" if match[2] == "_" else "_"
        found.append(f"{match[1]}{other}{match[3]}{other}{match[4]}")
    return tuple(dict.fromkeys(name for name in found if name and name != names[0]))


def _container(
    item: dict[str, Any], detail: dict[str, Any], usage: dict[str, Any], at: datetime
) -> Process:
    status, names, state = str(item.get("Status", "")), _names(item), _state(item)
    is_up = state == "running"
    restarts = detail.get("restarts")
    is_finished = state == "exited" and _is_finished(status, detail)
    is_task = _SWARM in _labels(item)
    return Process(
        name=names[0],
        aliases=_aliases(names, _labels(item)),
        state=state if is_up else status or state,
        is_up=is_up,
        is_finished=is_finished,
        is_unhealthy="(unhealthy)" in status,
        is_starting=is_task and not is_up,  # by swarm, and by nobody else
        restarts=restarts,
        failures=restarts or 0,
        uptime_s=_seconds_since(detail.get("started"), at) if is_up else None,
        started=str(detail.get("started") or ""),
        memory_bytes=_bytes(str(usage.get("MemUsage", ""))),
        cpu_percent=number(str(usage.get("CPUPerc") or usage.get("CPU") or "").rstrip("%")),
        says="ended with exit code 0" if is_finished else "",
    )


def _is_finished(status: str, detail: dict[str, Any]) -> bool:
    """Return whether a container that has exited is done: with code 0, and not to be restarted."""
    match = re.match(r"Exited \((\d+)\)", status)
    code = whole(match[1]) if match else whole(detail.get("code"))
    if code != 0:
        return False
    return str(detail.get("policy", "")) in _ENDS_FOR_GOOD


def _seconds_since(stamp: object, at: datetime) -> float | None:
    try:
        return max(0.0, (at - datetime.fromisoformat(str(stamp or ""))).total_seconds())
    except (ValueError, TypeError):
        return None


_UNITS = {
    **{"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
}


def _bytes(text: str) -> int | None:
    """Return the bytes in docker's `52.3MiB / 1GiB`, or podman's `54.9MB / 1.07GB`."""
    match = re.match(r"([\d.]+)\s*([kKMGT]?i?B)\b", text)
    return int(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else None
