"""The processes that pm2, docker or systemd lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from opsnb.config.target import Target
from opsnb.errors import Misconfigured
from opsnb.model import now
from opsnb.systems.host import Host, ProgramMissing, host_of
from opsnb.systems.processes import docker, pm2, systemd
from opsnb.systems.processes.process import SYSTEM, Process
from opsnb.systems.processes.settings import Processes

_LIMIT_S = 5.0
_ALL_S = 18.0  # over ssh each program is a login
_MANAGERS: dict[str, Callable[[Host, Processes, datetime, float], list[Process]]] = {
    "pm2": pm2.processes,
    "docker": docker.processes,
    "systemd": systemd.processes,
}


def listed(target: Target) -> list[Process]:
    """Return the processes that the target's manager lists.

    Raises BadAnswer when the manager cannot be asked, Misconfigured when it is not there,
    DaemonGone when it does not run.
    """
    settings, host = Processes.of(target), host_of(target, SYSTEM, _ALL_S)
    try:
        at = now() if host.is_local else host.clock()[0]  # the clocks may differ
        return _MANAGERS[settings.manager](host, settings, at, _LIMIT_S)
    except ProgramMissing as error:
        raise Misconfigured(
            SYSTEM,
            f"{error} Set manager and command in [targets.{target.name}.processes] to what runs "
            "the service.",
        ) from error


def groups_of(found: Sequence[Process], settings: Processes) -> dict[str, list[Process]]:
    """Return the instances of each process that must be up: the named ones, else all."""
    if settings.names:
        return {name: [p for p in found if _is_called(p, name)] for name in settings.names}
    return {p.name: [q for q in found if q.name == p.name] for p in found}


def _is_called(process: Process, name: str) -> bool:
    called = (process.name, *process.aliases)
    return name in called or any(fnmatchcase(each, name) for each in called)


def worker_of(target: Target) -> str:
    """Return the workers' process if the names in opsnb.toml are clear, else empty.

    That is the only one, or the only one that is called a worker.
    """
    names = Processes.of(target).names
    called = [name for name in names if "worker" in name.lower()]
    chosen = called or names
    return chosen[0] if len(chosen) == 1 else ""
