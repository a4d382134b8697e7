"""What the service stands on, Redis and PostgreSQL: whether it answers, and how it is started."""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.checks.check import Check
from opsnb.config.target import Target
from opsnb.errors import NotConfigured, ServiceError, TimedOut, Unreachable
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems import cache, database
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database
from opsnb.systems.dependencies.settings import Restart
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.queues.settings import Queues

SYSTEM = "dependencies"

Name = Literal["redis", "postgres"]
State = Literal["up", "down", "hangs", "refuses", "unknown"]

_TITLES: dict[Name, str] = {"redis": "Redis", "postgres": "PostgreSQL"}
_PINGS: dict[Name, Check[[]]] = {"redis": cache.ping, "postgres": database.ping}
_SOCKETS = ("/var/run/postgresql", "/tmp")
_COMMAND_S = 120.0
_PATIENCE_S = 30.0
_POLL_S = 0.5


@dataclass(frozen=True)
class Dependency:
    """One of them at this moment."""

    name: Name
    state: State
    """`refuses` takes connections and turns opsnb away: a restart would not fix that. `unknown`
    answers with an error, or cannot be asked as opsnb is configured."""
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

    Where the queues have a Redis of their own, that one is asked too; how it is started is not
    configured.
    """
    command = getattr(Restart.of(target), name)
    if name == "postgres":
        return _postgres(target, command)
    found = (
        _state(target, name, command) if Cache.of(target).url or not Queues.of(target).url else None
    )
    if Queues.of(target).url in ("", Cache.of(target).url) or (found and found.state != "up"):
        return found
    queues = _state(target.changed(redis_url=Queues.of(target).url), name, ())
    return found if found and queues and queues.state == "up" else queues


def _postgres(target: Target, command: tuple[str, ...]) -> Dependency | None:
    """Return how PostgreSQL is; when only the pooler before it is down, that it runs."""
    found = _state(target, "postgres", command)
    if found is None or not found.is_away or not Database.of(target).direct_url:
        return found
    direct = _state(
        target.changed(database_url=Database.of(target).direct_url), "postgres", command
    )
    if direct is None or direct.is_away:
        return found
    said = f"{found.said.rstrip('.')}, yet past its pooler it takes connections: see the pooler."
    return replace(found, state="refuses", said=said)


def _state(target: Target, name: Name, command: tuple[str, ...]) -> Dependency | None:
    """Ask one of them; one that does not answer in time is asked once more: it may be busy."""
    said = ""
    for _ in range(2):
        try:
            return Dependency(name, "up", _PINGS[name](target).message, command)
        except NotConfigured:
            return None
        except TimedOut as error:
            said = str(error)
        except Unreachable as error:
            return Dependency(name, _listening(target, name), str(error), command)
        except ServiceError as error:  # an answer that is an error is no outage
            return Dependency(name, "unknown", str(error), command)
    return Dependency(name, "hangs", said, command)


def dependencies(target: Target) -> list[Dependency]:
    """Return how each of those is that the target names; both are asked at the same time."""
    with ThreadPoolExecutor(len(_PINGS)) as pool:
        # In the caller's context, so that what they cannot see is told to the check that asks.
        found = [pool.submit(copy_context().run, dependency, target, name) for name in _PINGS]
        return [known for each in found if (known := each.result())]


@action(needs=(HOST,))
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
            host_of(target, SYSTEM, _COMMAND_S).do(known.command, _COMMAND_S)
            yield done

    return Plan(
        summary=_summary(target, found, startable),
        planned=len(startable),
        unit="systems",
        command="; ".join(shlex.join(known.command) for known in startable),
        undo="",
        work=work,
        verify=lambda: [_effect(target, terms["names"])] if found else [],
        sample=[known.row() for known in found],
        basis=[known.name for known in startable],
        warning=" ".join(_warnings(target, found, away)),
        terms=terms,
    )


def _summary(target: Target, found: Sequence[Dependency], startable: Sequence[Dependency]) -> str:
    if startable:
        named = " and ".join(f"{known.title} ({known.state})" for known in startable)
        why = " ".join(known.said for known in startable)
        return f"Start {named}; what answers is not touched. {why}"
    if not found:
        return f"Target {target.name} names neither Redis nor PostgreSQL."
    if all(known.state == "up" for known in found):
        names = " and ".join(known.title for known in found)
        return f"{names} {'is' if len(found) == 1 else 'are'} up."
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
        elif known.state == "unknown":
            yield f"{known.title} cannot be asked, so it is not restarted: {known.said}"


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
        unasked = all(known.state == "unknown" for known in silent)
        status = Status.UNKNOWN if unasked else Status.CRIT
        return Finding(status=status, message=message, rows=rows)
    message = " ".join(known.said for known in found)
    return Finding(status=Status.OK, message=message, rows=rows)


def _listening(target: Target, name: Name) -> State:
    """Return `refuses` when something takes connections there, `down` when nothing does.

    `unknown` where that cannot be told: no address is known, or its name has none.
    """
    states = {_connects(place, target.time_limit_s) for place in _places(target, name)}
    if "refuses" in states:
        return "refuses"
    return "down" if states == {"down"} else "unknown"


def _connects(place: str | tuple[str, int], limit_s: float) -> State:
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


def _places(target: Target, name: Name) -> list[str | tuple[str, int]]:
    """Return where it listens, as paths of sockets or as hosts with ports."""
    if name == "postgres":
        return _postgres_places(target)
    parts = urlsplit(Cache.of(target).url)
    if parts.scheme == "unix":
        return [parts.path]
    if parts.scheme in ("redis", "rediss"):
        return [(parts.hostname or "localhost", parts.port or 6379)]
    return []


def _postgres_places(target: Target) -> list[str | tuple[str, int]]:
    """Return the places of PostgreSQL; none when they stand elsewhere, as in a service file."""
    try:
        parts = conninfo_to_dict(Database.of(target).conninfo)
    except psycopg.ProgrammingError:
        return []
    if "service" in parts and not ("host" in parts or "hostaddr" in parts):
        return []
    given = parts.get("hostaddr") or parts.get("host") or os.environ.get("PGHOST", "")
    hosts = str(given).split(",") if given else list(_SOCKETS)
    ports = str(parts.get("port") or os.environ.get("PGPORT", "")).split(",")
    found: list[str | tuple[str, int]] = []
    for place, host in enumerate(hosts):
        text = ports[place] if place < len(ports) and given else ports[0]
        port = int(text) if text.isdecimal() else 5432
        found.append(
            f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host or "localhost", port)
        )
    return found
