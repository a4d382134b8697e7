"""How many jobs are in each state of some queues, read at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsnb.checks import evidence
from opsnb.systems.queues import connection
from opsnb.systems.queues.connection import Session
from opsnb.systems.queues.wording import named

STATES = (
    "waiting",
    "active",
    "completed",
    "failed",
    "delayed",
    "prioritized",
    "waiting-children",
    "paused",
)
"""BullMQ's states of a job. Jobs in `paused` wait in a paused queue of an older BullMQ."""


Levels = dict[str, int]
"""How many jobs are in each state of a queue, and other numbers of it."""


async def read_levels(session: Session, names: Sequence[str]) -> dict[str, Levels | Exception]:
    """Return the numbers of each queue, or why they cannot be read. Nothing is written.

    BullMQ's own count is a script that removes a marker from the list of waiting jobs.
    """
    async with session.client.pipeline(transaction=False) as pipe:
        for name in names:
            keys = session.queue(name)
            for part in ("wait", "paused", "active"):
                pipe.llen(keys[part])
            for part in ("wait", "paused"):
                pipe.lindex(keys[part], -1)
            for part in _SETS:
                pipe.zcard(keys[part])
            pipe.hexists(keys["meta"], "paused")
            pipe.hget(keys["meta"], "version")
            pipe.exists(*(keys[part] for part in _GROUPS))
            pipe.get(keys["id"])
            pipe.exists(keys["meta"], keys["id"], keys["events"])
        replies = iter(await pipe.execute(raise_on_error=False))
    levels: dict[str, Levels | Exception] = {}
    for name in names:
        answers = [next(replies) for _ in range(_ANSWERS)]
        broken = next((answer for answer in answers if isinstance(answer, Exception)), None)
        levels[name] = broken or _sorted_out(answers)
    await _find_overdue(session, levels)
    grouped = [name for name, one in levels.items() if isinstance(one, dict) and one["has_groups"]]
    if grouped:
        evidence.partial(
            f"jobs of {named(grouped)} that wait in groups: BullMQ Pro keeps them elsewhere; see "
            "its own dashboard"
        )
    return levels


async def _find_overdue(session: Session, levels: dict[str, Levels | Exception]) -> None:
    """Add how many delayed jobs are overdue: a worker should have moved them."""
    delayed = {
        name: one for name, one in levels.items() if isinstance(one, dict) and one["delayed"]
    }
    if not delayed:
        return
    overdue_ms = round(session.overdue_s * 1000)
    until = (await connection.server_ms(session) - overdue_ms) * _SCORE_MS
    async with session.client.pipeline(transaction=False) as pipe:
        for name in delayed:
            pipe.zcount(session.queue(name)["delayed"], "-inf", until)
        counted = await pipe.execute()
    for one, overdue in zip(delayed.values(), counted, strict=True):
        one["overdue"] = int(overdue)


_SETS = (
    "completed",
    "failed",
    "delayed",
    "prioritized",
    "waiting-children",
    "repeat",
)
_GROUPS = ("groups", "groups:limit", "groups:max", "groups:paused")
_ANSWERS = 5 + len(_SETS) + 5
_SCORE_MS = 0x1000  # BullMQ's score of a delayed job for one ms


def _sorted_out(answers: list[Any]) -> Levels:
    waiting, apart, active, *rest = answers
    last = dict(zip(("wait", "paused"), rest[:2], strict=True))
    # BullMQ 4 wakes workers by a marker at the end of a list, which is no job.
    markers = {part: str(job or "").startswith("0:") for part, job in last.items()}
    levels = {
        "waiting": waiting - markers["wait"],
        "paused": apart - markers["paused"],
        "active": active,
        **dict(zip(_SETS, map(int, rest[2 : 2 + len(_SETS)]), strict=True)),
    }
    is_paused, version, groups, added, exists = rest[2 + len(_SETS) :]
    text = str(added or "")
    levels.update(
        is_paused=int(is_paused),
        has_groups=int(bool(groups) or str(version or "").startswith("bullmq-pro")),
        added=int(text) if text.isdigit() else 0,
        exists=int(exists),
        overdue=0,
    )
    return levels


def total(levels: Levels) -> int:
    """Return how many jobs a queue holds, in all states."""
    return sum(levels[state] for state in STATES)
