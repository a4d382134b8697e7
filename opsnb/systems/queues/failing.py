"""The failed jobs of a queue, grouped by reason and by line of code."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from opsnb.config.target import Target
from opsnb.redaction import MASK
from opsnb.redaction.outside import first_line, pattern
from opsnb.systems.queues import connection, rates
from opsnb.systems.queues.backlog import count
from opsnb.systems.queues.connection import Queue, Session, reading
from opsnb.systems.queues.rates import Rate
from opsnb.systems.queues.values import read_fields, whole

_LONGEST_NAME = 60
_FRAME = re.compile(r"^\s*at (?P<place>.+)$", re.MULTILINE)
_FOREIGN = ("node_modules", "node:internal", "(internal", "<anonymous>")
_GAP = re.compile(rf"#|{re.escape(MASK)}")
_POSITION = re.compile(r":\d+(?::\d+)?\)?$")


@dataclass
class Failure:
    """Failed jobs with the same reason, apart from numbers and ids, from the same line of code."""

    reason: str
    """What their reasons have in common."""
    frame: str
    """The top frame of the service's own code, without the line; empty when unknown."""
    example: str
    """The reason of the newest of them, its first line."""
    first_ms: int
    last_ms: int
    text: str = ""
    """The whole reason of the newest of them."""
    stack: str = ""
    """Its stack."""
    jobs: list[str] = field(default_factory=list)
    """Their ids, the newest first."""
    names: set[str] = field(default_factory=set)
    attempts: int = 0
    """The highest number of attempts of one of them."""

    @property
    def common(self) -> str:
        """The longest part of the example that all of them share, to choose them by.

        Without masked parts, which are in no reason.
        """
        parts = [part.strip() for part in _GAP.split(self.reason.removesuffix("..."))]
        return max((part for part in parts if part in self.example), key=len, default="")


@dataclass(frozen=True)
class Failures:
    """The newest failed jobs of a queue."""

    groups: list[Failure]
    """The greatest first."""
    read: int
    rate: Rate
    now_ms: int


def failures_of(target: Target, queue: str, newest: int = 1000) -> Failures:
    """Group the newest failed jobs of `queue`. Raises UsageError for an unknown queue."""

    async def look(session: Session) -> Failures:
        known = await connection.known(session, queue)
        rate = await rates.read(known, await count(known, with_workers=False))
        jobs = await _read(known, newest)
        return Failures(
            sorted(_grouped(jobs), key=lambda group: -len(group.jobs)),
            len(jobs),
            rate,
            await connection.server_ms(session),
        )

    with reading(target) as session:
        return session.run(look(session))


async def _read(queue: Queue, newest: int) -> list[tuple[str, list[str | None]]]:
    """Return the newest failed jobs with their fields, each of a few kilobytes at most."""
    fields = ["failedReason", "stacktrace", "name", "finishedOn", "atm", "attemptsMade"]
    ids = await queue.client.zrevrange(queue["failed"], 0, newest - 1)
    # The stack of the newest attempt is the last of a list, and its frames are at the end.
    found = await read_fields(queue, ids, fields, tail="stacktrace")
    return list(zip(ids, found, strict=True))


def _grouped(jobs: Sequence[tuple[str, list[str | None]]]) -> list[Failure]:
    groups: dict[tuple[str, str], Failure] = {}
    for job, (reason, stack, name, ended, attempts, attempts_4) in jobs:
        text = reason or "(no reason)"
        last, ended_ms = last_stack(stack or ""), whole(ended)
        alike, frame = first_line(pattern(text)), top_frame(last)
        group = groups.setdefault(
            (alike, frame), Failure(alike, frame, first_line(text), ended_ms, ended_ms, text, last)
        )
        group.jobs.append(job)
        group.names.add(first_line(name or "", _LONGEST_NAME))
        group.first_ms = min(group.first_ms, ended_ms)
        group.last_ms = max(group.last_ms, ended_ms)
        group.attempts = max(group.attempts, whole(attempts or attempts_4))
    return list(groups.values())


def last_stack(stacktrace: str) -> str:
    """Return the stack of the last attempt from BullMQ's list of stacks, in JSON; empty for none.

    The beginning of a long list is missing.
    """
    try:
        stacks = json.loads(stacktrace or "[]")
    except ValueError:
        return _end_of_stack(stacktrace)
    return str(stacks[-1]) if isinstance(stacks, list) and stacks else ""


def _end_of_stack(text: str) -> str:
    """Return the frames of the last stack from a JSON list whose beginning is missing."""
    last = re.split(r'(?<!\\)",\s*"', text)[-1].removesuffix("]").rstrip().removesuffix('"')
    _, newline, frames = last.partition("\\n")
    try:
        return str(json.loads(f'"{frames}"', strict=False)) if newline else ""
    except ValueError:
        return ""


def top_frame(stack: str) -> str:
    """Return where the service's own code failed, without line and column.

    Empty when the stack has no frame.
    """
    places = [match["place"].strip() for match in _FRAME.finditer(stack)]
    own = [place for place in places if not any(sign in place for sign in _FOREIGN)]
    place = next(iter([*own, *places]), "")
    function, _, where = place.partition(" (")
    file = _POSITION.sub("", where or function).rsplit("/", 1)[-1]
    return f"{function} ({file})" if where else file
