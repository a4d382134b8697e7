"""One process as its manager describes it, and what it means for the service."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from opsnb.errors import BadAnswer
from opsnb.model import Status
from opsnb.redaction import outside
from opsnb.systems.host import Host
from opsnb.systems.processes.settings import Processes

SYSTEM = "processes"
_SETTLED_S = 60.0  # a process that failed and then stayed up for so long is not in a loop
_PROGRAMS = {"systemd": "systemctl"}


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
    started: str = ""
    """When it was started, in the manager's own words; they change with each start."""
    memory_bytes: int | None = None
    cpu_percent: float | None = None
    pid: int | None = None
    heap_bytes: int | None = None
    """What lives on the heap of V8, as the process itself reports it to pm2."""
    heap_limit_bytes: int | None = None
    """Past it V8 ends the process, when it was started with such a limit."""
    handle: str = ""
    """Its unique id for the manager, as several may have one name."""
    aliases: tuple[str, ...] = ()
    """Other names that it may be called by."""
    is_finished: bool = False
    """It has done its work and ended well, as a migration does."""
    is_job: bool = False
    """Something starts it when it is due, so nobody else does."""
    is_starting: bool = False
    """It was started and is not up yet."""
    is_unhealthy: bool = False
    """Its own health check fails."""
    says: str = ""
    """How it ended or when it is due, in words."""

    @property
    def is_looping(self) -> bool:
        """Up for the moment, after it has failed just before."""
        return self.is_up and bool(self.failures) and (self.uptime_s or 0) < _SETTLED_S

    @property
    def is_down(self) -> bool:
        """Neither up nor done, and not one that waits for its time."""
        return not (self.is_up or self.is_finished or self.is_job)

    @property
    def status(self) -> Status:
        """Its own status, whatever the others are."""
        if self.is_down:
            return Status.CRIT
        if self.is_finished:
            return Status.OK
        if not self.is_up:
            return Status.WARN
        return Status.WARN if self.is_looping or self.is_unhealthy else Status.OK


class DaemonGone(Exception):
    """pm2's daemon does not run, so none of its processes does."""


def program(settings: Processes) -> list[str]:
    """Return the words that call the manager's program on the host."""
    named = shlex.split(settings.command)
    return named or [_PROGRAMS.get(settings.manager, settings.manager)]


def environment(host: Host, settings: Processes) -> dict[str, str]:
    """Return what is added to the environment of the manager's program."""
    return {
        name: host.expand(value) if host.is_local else value for name, value in settings.env.items()
    }


def no_list(manager: str, text: str) -> BadAnswer:
    """Return the error of a manager that printed no list."""
    said = outside.one_line(text, 80, "")
    return BadAnswer(SYSTEM, f"{manager} did not list its processes, but said {said!r}.")


def cut_off(manager: str, text: str) -> BadAnswer:
    """Return the error of a manager whose list has no end."""
    size = len(text.encode())
    return BadAnswer(SYSTEM, f"{manager}'s list ends after {size:,} bytes and is no whole JSON.")


def number(value: object) -> float | None:
    """Return a number that a manager prints as one or as a text, else None."""
    try:
        return float(str(value))
    except ValueError:
        return None


def whole(value: object) -> int | None:
    """Return a whole number, else None."""
    found = number(value)
    return None if found is None else int(found)


def flag(value: object) -> bool:
    """Return whether a setting is on, which a manager may print as a text."""
    return str(value).lower() in ("true", "1", "yes")
