"""Actions of which can be counted how often they were done, and where tests want them to wait.

Imported by the kernels of tests; PYTHONPATH has to lead there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from opsnb.actions.action import CannotTell, Permit, Plan, action, require
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding, Status
from opsnb.systems.cache.settings import Cache

ITEMS = 6
POINTS = "OPSNB_TEST_POINTS"
"""Names a folder: who wants to wait at a point finds its name there in `wanted`."""
MOVED, BUMPED = "drill:moved", "drill:bumped"

PARAMETERS = """
from opsnb.params import Hours

target: str = "demo"
what: str = "move"
note: str = ""
hours: Hours = 24
apply: bool = False
"""
BEGIN = """
from opsnb import Runbook
from tests.headless import moving

rb = Runbook(target, apply=apply)
"""
ACT = "rb.act(getattr(moving, what), hours)"
LOOK = "rb.check(moving.looked)"

_calls = {"planned": 0}


def reach(point: str) -> None:
    """Wait as long as somebody wants it at this point."""
    wanted = Path(os.environ.get(POINTS, "/nowhere"), "wanted")
    while _text(wanted) == point:
        reached = wanted.with_name("reached")
        if not reached.exists():
            aside = wanted.with_name("aside")
            aside.write_text(f"{os.getpid()} {os.getppid()}")
            aside.rename(reached)
        time.sleep(0.01)


def _text(path: Path) -> str | None:
    """The text of a file; None when it is gone, which it may be from one moment to the next."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def client(target: Target) -> Any:
    return redis.Redis.from_url(Cache.of(target).url, decode_responses=True)


def done(target: Target) -> dict[str, int]:
    """Return how often each step was done."""
    with client(target) as connected:
        found = {item: int(often) for item, often in connected.hgetall(MOVED).items()}
        return found | {"bump": int(connected.get(BUMPED) or 0)}


def forget(target: Target) -> None:
    with client(target) as connected:
        connected.delete(MOVED, BUMPED)


def _items() -> list[str]:
    return [f"item-{number}" for number in range(ITEMS)]


def _planned() -> None:
    _calls["planned"] += 1
    if _calls["planned"] == 2:  # the guard looks again when it is to begin
        reach("between plan and apply")


@action(needs=("redis",))
def move(target: Target, former: ActionRecord | None, hours: float) -> Plan:
    """Move items"""
    _planned()
    moved = done(target)
    left = [item for item in (former.terms["items"] if former else _items()) if item not in moved]

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        with client(target) as connected:
            for number, item in enumerate(left, 1):
                connected.hincrby(MOVED, item, 1)
                if number == ITEMS // 2:
                    reach("during apply")
                yield number

    return _plan(f"Move {len(left)} items.", len(left), work, target, {"items": _items()})


@action(needs=("redis",))
def bump(target: Target, former: ActionRecord | None, hours: float) -> Plan:
    """Count on"""
    if former and former.is_incomplete:
        raise CannotTell
    _planned()

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        with client(target) as connected:
            for number in range(1, ITEMS + 1):
                connected.incr(BUMPED)
                if number == ITEMS // 2:
                    reach("during apply")
                yield number

    there = done(target)["bump"]
    return _plan(f"Count {ITEMS} on from {there}.", ITEMS, work, target, {})


def _plan(summary: str, planned: int, work: Any, target: Target, terms: dict[str, Any]) -> Plan:
    def verify() -> list[Finding]:
        reach("between apply and verify")
        return [looked(target)]

    return Plan(
        summary=summary,
        planned=planned,
        unit="steps",
        command="redis-cli HINCRBY",
        undo="",
        work=work,
        verify=verify,
        terms=terms,
    )


@check(needs=("redis",))
def looked(target: Target) -> Finding:
    """What there is"""
    there = done(target)
    whole = there["bump"] == ITEMS or len(there) == ITEMS + 1
    status = Status.OK if whole else Status.WARN
    return Finding(status=status, message=f"There is {there}.")
