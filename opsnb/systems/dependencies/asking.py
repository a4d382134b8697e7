"""The systems that a service depends on: whether each is up, and how to start it.

Each system that is one says so in its registration; nothing here lists them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache
from typing import Literal

from opsnb.checks.check import Check
from opsnb.config.systems import attribute, systems
from opsnb.config.target import Target
from opsnb.errors import NotConfigured, ServiceError, TimedOut, Unreachable
from opsnb.model import Row

State = Literal["up", "down", "hangs", "refuses", "unknown"]
Place = str | tuple[str, int]
"""The path of a socket, or a host and a port."""


@dataclass(frozen=True)
class Dependency:
    """The state of a system that the service depends on."""

    name: str
    """Its key in `[targets.NAME.restart]`."""
    title: str
    """What people call it."""
    state: State
    """`refuses` takes connections and turns opsnb away: a restart would not fix that. `unknown`
    answers with an error, or cannot be asked as opsnb is configured."""
    said: str
    command: tuple[str, ...]
    """What starts it, from `[targets.NAME.restart]`; empty when nothing is configured."""

    @property
    def is_away(self) -> bool:
        """Whether starting it may help."""
        return self.state in ("down", "hangs")

    def row(self) -> Row:
        """Return what is shown of it."""
        return {"system": self.title, "state": self.state, "said": self.said}


def ask(
    target: Target,
    system: str,
    ping: Check[[]],
    command: Sequence[str],
    places: Iterable[Place],
) -> Dependency | None:
    """Return the state of a system by the check `ping`; None when the target does not have it.

    `command` starts it. One that times out is asked again: it may be busy. It is
    down when nothing listens at its `places`.
    """

    def found(state: State, said: str) -> Dependency:
        title = systems()[system].title
        return Dependency(_key(system), title, state, said, tuple(command))

    said = ""
    for _ in range(2):
        try:
            return found("up", ping(target).message)
        except NotConfigured:
            return None
        except TimedOut as error:
            said = str(error)
        except Unreachable as error:
            return found(_listening(places, target.time_limit_s), str(error))
        except ServiceError as error:  # an answer that is an error is no outage
            return found("unknown", str(error))
    return found("hangs", said)


def dependency(target: Target, name: str) -> Dependency | None:
    """Return the state of one system; None when the target does not have it."""
    return _functions()[name](target)


def dependencies(target: Target) -> list[Dependency]:
    """Return the state of each system that the target has; they are checked at the same time."""
    with ThreadPoolExecutor() as pool:
        # In the caller's context, so that what they cannot see is reported to the check that asks.
        asked = [pool.submit(copy_context().run, each, target) for each in _functions().values()]
        return [known for each in asked if (known := each.result())]


def titles() -> list[str]:
    """Return what people call the systems that a service may depend on."""
    return [system.title for system in systems().values() if system.dependency]


@cache
def _functions() -> dict[str, Callable[[Target], Dependency | None]]:
    """Return what asks each of them, by its key in `[targets.NAME.restart]`."""
    return {
        _key(name): attribute(system.dependency)
        for name, system in systems().items()
        if system.dependency
    }


def _key(system: str) -> str:
    """Return the key of a system in `[targets.NAME.restart]`."""
    keys = [short.partition("restart.")[2] for short in systems()[system].shorthands]
    return next(filter(None, keys), system)


def _listening(places: Iterable[Place], limit_s: float) -> State:
    """Return `refuses` when something takes connections there, `down` when nothing does.

    `unknown` where that is not known: no address is known, or its name has none.
    """
    states = {_connects(place, limit_s) for place in places}
    if "refuses" in states:
        return "refuses"
    return "down" if states == {"down"} else "unknown"


def _connects(place: Place, limit_s: float) -> State:
    try:
        if isinstance(place, str):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(limit_s)
                client.connect(place)
        else:
            socket.create_connection(place, limit_s).close()
    except (socket.gaierror, PermissionError, UnicodeError):
        return "unknown"
    except OSError:
        return "down"
    return "refuses"
