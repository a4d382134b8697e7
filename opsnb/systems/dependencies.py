"""What the service stands on, Redis and PostgreSQL: whether it answers, and how it is started."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from opsnb.check import Check
from opsnb.errors import NotConfigured, ServiceError, TimedOut
from opsnb.guard import Permit, Plan, action, require
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems import cache, database
from opsnb.systems.database.access import place
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.target import Target

SYSTEM = "dependencies"

Name = Literal["redis", "postgres"]
State = Literal["up", "down", "hangs", "refuses"]

_TITLES: dict[Name, str] = {"redis": "Redis", "postgres": "PostgreSQL"}
_PINGS: dict[Name, Check[[]]] = {"redis": cache.ping, "postgres": database.ping}
_COMMAND_S = 120.0
_PATIENCE_S = 30.0
_POLL_S = 0.5


@dataclass(frozen=True)
class Dependency:
    """One of them at this moment."""

    name: Name
    state: State
    """`refuses` is one that listens and answers, but not to us: a restart would not mend that."""
    said: str
    command: tuple[str, ...]
    """What starts it, from `[targets.NAME.restart]`; empty when nothing is configured."""

    @property
    def title(self) -> str:
        """Its name as people write it."""
        return _TITLES[self.name]

    @property
    def is_away(self) -> bool:
        """Whether a start would bring it back."""
        return self.state in ("down", "hangs")

    def row(self) -> Row:
        """Return what is shown of it."""
        return {"system": self.title, "state": self.state, "said": self.said}


def dependency(target: Target, name: Name) -> Dependency | None:
    """Return how one of them is; None when the target does not name it.

    One that does not answer in time is asked once more: a busy machine is no outage.
    """
    command = getattr(target.restart, name)
    said = ""
    for _ in range(2):
        try:
            return Dependency(name, "up", _PINGS[name](target).message, command)
        except NotConfigured:
            return None
        except TimedOut as error:
            said = str(error)
        except ServiceError as error:
            state: State = "refuses" if _may_listen(target, name) else "down"
            return Dependency(name, state, str(error), command)
    return Dependency(name, "hangs", said, command)


def dependencies(target: Target) -> list[Dependency]:
    """Return how each of those is that the target names; both are asked at the same time."""
    with ThreadPoolExecutor(len(_PINGS)) as pool:
        found = pool.map(lambda name: dependency(target, name), _PINGS)
        return [known for known in found if known]


@action(needs=(HOST,), resumable=True)
def start(target: Target, former: ActionRecord | None) -> Plan:
    """Start Redis and PostgreSQL where they do not answer.

    By the commands of `[targets.NAME.restart]`; what answers is not touched.
    """
    found = dependencies(target)
    away = [
        known
        for known in found
        if known.is_away and (former is None or known.name in former.terms["names"])
    ]
    startable = [known for known in away if known.command]
    terms = former.terms if former else {"names": [known.name for known in startable]}

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for done, known in enumerate(startable, 1):
            host_of(target, SYSTEM, _COMMAND_S).run(known.command, _COMMAND_S)
            yield done

    return Plan(
        summary=_summary(found, startable),
        planned=len(startable),
        unit="systems",
        command="; ".join(shlex.join(known.command) for known in startable),
        undo="",
        work=work,
        verify=lambda: [_effect(target, terms["names"])],
        sample=[known.row() for known in found],
        basis=[known.name for known in startable],
        warning=" ".join(_warnings(target, found, away)),
        terms=terms,
    )


def _summary(found: Sequence[Dependency], startable: Sequence[Dependency]) -> str:
    if startable:
        named = " and ".join(f"{known.title} ({known.state})" for known in startable)
        return f"Start {named}; what answers is not touched."
    if all(known.state == "up" for known in found):
        names = " and ".join(known.title for known in found) or "the systems that the target names"
        answer = "answers" if len(found) == 1 else "answer"
        return f"Nothing to start: {names} {answer}."
    return "Nothing can be started from here."


def _warnings(
    target: Target, found: Sequence[Dependency], away: Sequence[Dependency]
) -> Iterator[str]:
    for known in away:
        if not known.command:
            yield (
                f"{known.title} {'is down' if known.state == 'down' else 'hangs'} and nothing says "
                f"how it is started: start it by hand, or set {known.name} in "
                f"[targets.{target.name}.restart]."
            )
        elif known.state == "hangs":
            yield f"{known.title} hangs: what it was doing ends with its restart."
    for known in found:
        if known.state == "refuses":
            yield f"{known.title} runs, so it is not restarted: {known.said}"


def _effect(target: Target, names: Sequence[str]) -> Finding:
    """Wait until those that were started answer, and say whether they do."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        found = [known for known in dependencies(target) if not names or known.name in names]
        silent = [known for known in found if known.state != "up"]
        if not silent or time.monotonic() > ends:
            break
        time.sleep(_POLL_S)
    rows = [known.row() for known in found]
    if silent:
        message = " ".join(known.said for known in silent)
        return Finding(status=Status.CRIT, message=message, rows=rows)
    message = " ".join(known.said for known in found)
    return Finding(status=Status.OK, message=message, rows=rows)


def _may_listen(target: Target, name: Name) -> bool:
    """Say whether something takes connections there, also where that cannot be known."""
    host, port = _address(target, name)
    if not host or host.startswith("/"):
        return True
    try:
        socket.create_connection((host, port), target.time_limit_s).close()
    except OSError:
        return False
    return True


def _address(target: Target, name: Name) -> tuple[str, int]:
    if name == "redis":
        parts = urlsplit(target.cache.url)
        if parts.scheme not in ("redis", "rediss"):
            return "", 0
        return parts.hostname or "", parts.port or 6379
    host, _, port = place(target).rpartition("/")[0].rpartition(":")
    return host, int(port) if port.isdecimal() else 0
